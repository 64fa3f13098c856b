//! What is written to Postgres: one batch of writes at a time, as few transactions as can be. `batches` calls it,
//! through group commit.
//!
//! Most batches are one statement, which is a transaction by itself. It only inserts: when a place is taken the server
//! undoes all of it, and the sessions that are in the way are written by [`super::place`], one by one and with care.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use futures_util::future::join4;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::database::{Database, Purpose};
use super::error::{Failure, Remedy};
use super::place::Places;
use super::statement::{Placed, Statements};
use crate::store::Answer;
use crate::store::commit::{AsyncBackend, Write, WriteResult};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::model::SessionRecord;

/// What writes the batches of a store.
pub(super) struct Writer {
    database: Rc<Database>,
    statements: Statements,
    taken: String,
    /// Sessions that somebody else writes to as well, as it seems: an event of theirs found its place taken, and none
    /// has found it free since.
    contested: RefCell<HashSet<String>>,
}

/// A write, and where it stands in its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered<'a> {
    pub(super) number: usize,
    pub(super) write: &'a Write<'a>,
}

impl Writer {
    pub(super) fn new(database: Rc<Database>) -> Self {
        let tables = &database.options.tables;
        Self {
            statements: Statements::new(tables),
            taken: format!(
                "SELECT DISTINCT session_id FROM {} JOIN unnest($1::text[], $2::bigint[]) AS given (session_id, event_index) \
                 USING (session_id, event_index)",
                tables.events
            ),
            contested: RefCell::new(HashSet::new()),
            database,
        }
    }

    /// Commits the writes together, as far as they can be; those of contested sessions are handed back.
    async fn commit_together<'a>(&self, writes: Vec<Numbered<'a>>, results: &mut Results) -> Vec<Numbered<'a>> {
        let mut left = Vec::new();
        let mut pieces = vec![writes];
        while let Some(piece) = pieces.pop() {
            let (contested, piece): (Vec<_>, Vec<_>) = piece
                .into_iter()
                .partition(|numbered| self.contested.borrow().contains(numbered.write.session_id()));
            left.extend(contested);
            if piece.is_empty() {
                continue;
            }
            let statements = &self.statements;
            let rows = Rows::of(&piece);
            let stored = self
                .database
                .run(Purpose::Write, async |client| rows.store(client, statements).await);
            match stored.await {
                Ok(()) => results.set(&piece, &Ok(Answer::Done)),
                Err(failure) if failure.remedy == Remedy::AnotherPlace => match self.taken_sessions(&piece).await {
                    // Whoever was in the way is gone, or another unique index refuses: the one write will tell.
                    Ok(taken) if taken.is_empty() => match halves(piece) {
                        Ok(halves) => pieces.extend(halves),
                        Err(one) => left.extend(one),
                    },
                    Ok(taken) => {
                        self.contested.borrow_mut().extend(taken);
                        pieces.push(piece);
                    }
                    Err(failure) => self.fail(&piece, &failure, results),
                },
                Err(failure) if failure.kind == ErrorKind::InvalidArgument => match halves(piece) {
                    Ok(halves) => pieces.extend(halves),
                    Err(one) => self.fail(&one, &failure, results),
                },
                Err(failure) => self.fail(&piece, &failure, results),
            }
        }
        left
    }

    /// The sessions of events whose places are taken.
    async fn taken_sessions(&self, piece: &[Numbered<'_>]) -> Result<Vec<String>, Failure> {
        let (mut session_ids, mut indexes) = (Vec::new(), Vec::new());
        for numbered in piece {
            if let Write::InsertEvent(event) = numbered.write {
                session_ids.push(&*event.session_id);
                indexes.push(event.event_index);
            }
        }
        self.database
            .run(Purpose::Write, async |client| {
                let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
                    [(&session_ids, Type::TEXT_ARRAY), (&indexes, Type::INT8_ARRAY)];
                let rows = client.query_typed(&self.taken, &parameters).await?;
                Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Commits the writes of one contested session.
    async fn commit_alone(&self, session_id: &str, writes: &[Numbered<'_>], results: &mut Results) {
        let mut pieces = vec![writes];
        while let Some(piece) = pieces.pop() {
            let options = &self.database.options;
            let mut places = Places::new(session_id, piece, &options.tables, options.index_conflict);
            let statements = &self.statements;
            let stored = self
                .database
                .run(Purpose::Write, async |client| places.store(client, statements).await)
                .await;
            match stored {
                Ok(answers) => {
                    let mut contested = self.contested.borrow_mut();
                    if places.were_free() {
                        contested.remove(session_id);
                    } else {
                        contested.insert(session_id.to_owned());
                    }
                    drop(contested);
                    for (numbered, answer) in piece.iter().zip(answers) {
                        results.set(&[*numbered], &answer);
                    }
                }
                // One by one, in their order, so that a bad one fails alone.
                Err(failure) if failure.kind == ErrorKind::InvalidArgument && piece.len() > 1 => {
                    pieces.extend(piece.chunks(1).rev());
                }
                Err(failure) => self.fail(piece, &failure, results),
            }
        }
    }

    fn fail(&self, piece: &[Numbered<'_>], failure: &Failure, results: &mut Results) {
        for numbered in piece {
            let doing = format!("{} {}", numbered.write.doing(), self.database.options.target.name());
            results.set(&[*numbered], &Err(failure.clone().into_error(&doing)));
        }
    }
}

impl AsyncBackend for Writer {
    async fn commit(&self, writes: &[Write<'_>]) -> Vec<WriteResult> {
        if let Err(error) = self.database.prepared().await {
            return writes.iter().map(|_| Err(error.clone())).collect();
        }
        let mut results = Results::new(writes.len());
        let mut sound = Vec::with_capacity(writes.len());
        let mut places = HashSet::new();
        for (number, write) in writes.iter().enumerate() {
            let numbered = Numbered { number, write };
            if let Err(error) = check_text(write) {
                results.set(&[numbered], &Err(error));
                continue;
            }
            sound.push(numbered);
            if let Write::InsertEvent(event) = write
                && !places.insert((&*event.session_id, event.event_index))
            {
                self.contested
                    .borrow_mut()
                    .insert(event.session_id.clone().into_owned());
            }
        }
        let mut left = self.commit_together(sound, &mut results).await;
        left.sort_unstable_by_key(|numbered| numbered.number);
        let mut sessions: BTreeMap<&str, Vec<Numbered<'_>>> = BTreeMap::new();
        for numbered in left {
            sessions.entry(numbered.write.session_id()).or_default().push(numbered);
        }
        for (session_id, writes) in sessions {
            self.commit_alone(session_id, &writes, &mut results).await;
        }
        results.into_results()
    }
}

/// What has come of the writes of a batch.
struct Results(Vec<Option<WriteResult>>);

impl Results {
    fn new(count: usize) -> Self {
        Self(vec![None; count])
    }

    fn set(&mut self, writes: &[Numbered<'_>], result: &WriteResult) {
        for numbered in writes {
            self.0[numbered.number] = Some(result.clone());
        }
    }

    fn into_results(self) -> Vec<WriteResult> {
        let forgotten = || {
            Err(StoreError::new(
                ErrorKind::Internal,
                "a write was forgotten by a mistake of sandbox-agent-persist; please report it",
            ))
        };
        self.0
            .into_iter()
            .map(|result| result.unwrap_or_else(forgotten))
            .collect()
    }
}

/// The rows of writes that are committed together, in the order in which every transaction of ours touches rows: sessions
/// by their ids, then events by their places. So no two transactions ever wait for each other.
struct Rows<'a> {
    sessions: Vec<&'a SessionRecord<'a>>,
    events: Vec<Placed<'a>>,
}

impl<'a> Rows<'a> {
    fn of(piece: &[Numbered<'a>]) -> Self {
        let mut sessions = BTreeMap::new();
        let mut events = Vec::with_capacity(piece.len());
        for numbered in piece {
            match numbered.write {
                // The last one of a session stands.
                Write::UpdateSession(record) => {
                    sessions.insert(&*record.id, record);
                }
                Write::InsertEvent(event) => events.push(Placed {
                    event,
                    index: event.event_index,
                }),
            }
        }
        events.sort_unstable_by_key(|placed| (&*placed.event.session_id, placed.index));
        Self {
            sessions: sessions.into_values().collect(),
            events,
        }
    }

    /// One transaction, and one round trip to the server.
    async fn store(&self, client: &Client, statements: &Statements) -> Result<(), Failure> {
        if self.sessions.is_empty() {
            statements.insert_events(client, &self.events).await?;
        } else if self.events.is_empty() {
            statements.update_sessions(client, &self.sessions).await?;
        } else {
            // All are sent before the first is answered. When one fails the server does not do those that follow, and takes
            // COMMIT for ROLLBACK.
            let (began, sessions, events, committed) = join4(
                client.batch_execute("BEGIN"),
                statements.update_sessions(client, &self.sessions),
                statements.insert_events(client, &self.events),
                client.batch_execute("COMMIT"),
            )
            .await;
            began?;
            sessions?;
            events?;
            committed?;
        }
        Ok(())
    }
}

/// Two halves, the first on top of the stack; or the only write.
fn halves(mut piece: Vec<Numbered<'_>>) -> Result<[Vec<Numbered<'_>>; 2], Vec<Numbered<'_>>> {
    if piece.len() < 2 {
        return Err(piece);
    }
    let second = piece.split_off(piece.len() / 2);
    Ok([second, piece])
}

/// Postgres has no text that holds U+0000. In JSON text it is escaped.
fn check_text(write: &Write<'_>) -> Result<(), StoreError> {
    let (what, texts) = match write {
        Write::UpdateSession(record) => (
            "session",
            vec![
                ("id", Some(&record.id)),
                ("agent", Some(&record.agent)),
                ("agentSessionId", Some(&record.agent_session_id)),
                ("lastConnectionId", Some(&record.last_connection_id)),
                ("sandboxId", record.sandbox_id.as_ref()),
            ],
        ),
        Write::InsertEvent(event) => (
            "event",
            vec![
                ("id", Some(&event.id)),
                ("sessionId", Some(&event.session_id)),
                ("connectionId", Some(&event.connection_id)),
            ],
        ),
    };
    for (name, text) in texts {
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(StoreError::invalid(format!(
                "{what}.{name} must not hold U+0000: Postgres cannot store it outside of JSON"
            )));
        }
    }
    Ok(())
}
