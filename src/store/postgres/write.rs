//! What is written to Postgres: one batch of writes at a time, as few transactions as can be. `batches` calls it,
//! through group commit.
//!
//! Most batches are one statement, which is a transaction by itself. It only inserts: when a place is taken the server
//! undoes all of it, and the sessions whose places are taken are set apart, to be written by [`super::place`] with care.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use futures_util::future::join4;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::connection::Connection;
use super::database::{Database, Purpose, SHARED_PART};
use super::error::{Failure, Remedy};
use super::place::Places;
use super::statement::{Placed, Statements};
use crate::store::Answer;
use crate::store::commit::{Write, WriteResult};
use crate::store::error::StoreError;
use crate::store::model::SessionRecord;

/// What writes the batches of a store.
pub(super) struct Writer {
    database: Rc<Database>,
    statements: Statements,
    taken: String,
    /// Sessions that are not committed together with others.
    apart: RefCell<HashSet<String>>,
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
            statements: Statements::new(tables, database.options.query_timeout),
            taken: format!(
                "SELECT DISTINCT given.session_id FROM unnest($1, $2) AS given (session_id, event_index) \
                 JOIN {} AS stored ON stored.session_id = given.session_id AND stored.event_index = given.event_index",
                tables.events
            ),
            apart: RefCell::new(HashSet::new()),
            database,
        }
    }

    /// Whether the session must have batches of its own: an event of it found its place taken, or it may have a lock on it,
    /// and it has not been written without trouble since.
    pub(super) fn is_apart(&self, session_id: &str) -> bool {
        self.apart.borrow().contains(session_id)
    }

    /// Whether there is such a session.
    pub(super) fn any_apart(&self) -> bool {
        !self.apart.borrow().is_empty()
    }

    /// Commits writes of many sessions. There is no result for those of sessions that turn out to need batches of their
    /// own; whether anything of these is stored is not known.
    pub(super) async fn commit_shared(&self, writes: &[Write<'_>]) -> Vec<Option<WriteResult>> {
        let mut progress = match self.begin(writes).await {
            Ok(progress) => progress,
            Err(results) => return results,
        };
        let mut pieces = vec![progress.sound(writes)];
        let mut places = HashSet::new();
        for numbered in &pieces[0] {
            if let Write::InsertEvent(event) = numbered.write
                && !places.insert((&*event.session_id, event.event_index))
            {
                self.set_apart([event.session_id.clone().into_owned()]);
            }
        }
        while let Some(mut piece) = pieces.pop() {
            piece.retain(|numbered| !self.is_apart(numbered.write.session_id()));
            if piece.is_empty() {
                continue;
            }
            let rows = Rows::of(&piece);
            let purpose = if of_one_session(&piece) {
                Purpose::Write
            } else {
                Purpose::SharedWrite
            };
            let stored = self.run(purpose, &mut progress, async |client| {
                rows.store(client, &self.statements).await
            });
            match stored.await {
                Ok(()) => progress.set(&piece, &Ok(Answer::Done)),
                Err(failure) if failure.remedy == Remedy::AnotherPlace => {
                    match self.taken_sessions(&piece, &mut progress).await {
                        // Whoever was in the way is gone, or something else refuses a row: the one write will tell.
                        Ok(taken) if taken.is_empty() => match halves(piece) {
                            Ok(halves) => pieces.extend(halves),
                            Err(one) => self.set_apart(session_ids(&one)),
                        },
                        Ok(taken) => {
                            self.set_apart(taken);
                            pieces.push(piece);
                        }
                        Err(failure) => self.fail(&piece, &failure, &mut progress),
                    }
                }
                Err(failure) if failure.may_be_one_row() => match halves(piece) {
                    Ok(halves) => pieces.extend(halves),
                    Err(one) => self.fail(&one, &failure, &mut progress),
                },
                // A row of one session is locked, most likely: the others need not wait for it.
                Err(failure) if failure.remedy == Remedy::Retry && purpose == Purpose::SharedWrite => {
                    self.set_apart(session_ids(&piece));
                }
                Err(failure) => self.fail(&piece, &failure, &mut progress),
            }
        }
        progress.results
    }

    /// Commits writes of one session, with care.
    pub(super) async fn commit_apart(&self, writes: &[Write<'_>]) -> Vec<Option<WriteResult>> {
        let mut progress = match self.begin(writes).await {
            Ok(progress) => progress,
            Err(results) => return results,
        };
        let options = &self.database.options;
        // What a shared batch may have taken of their time.
        progress.deadline -= options.query_timeout / SHARED_PART;
        let sound = progress.sound(writes);
        let Some(session_id) = sound.first().map(|numbered| numbered.write.session_id()) else {
            return progress.results;
        };
        let mut pieces = vec![Places::new(session_id, sound, &options.tables, options.index_conflict)];
        while let Some(mut places) = pieces.pop() {
            let stored = self.run(Purpose::Write, &mut progress, async |client| {
                places.store(client, &self.statements).await
            });
            match stored.await {
                Ok(answers) => {
                    if places.were_free() {
                        self.apart.borrow_mut().remove(session_id);
                    } else {
                        self.set_apart([session_id.to_owned()]);
                    }
                    for (numbered, answer) in places.writes().iter().zip(answers) {
                        progress.set(&[*numbered], &answer);
                    }
                }
                // One by one, in their order, so that a bad one fails alone.
                Err(failure) if failure.may_be_one_row() && places.writes().len() > 1 => {
                    pieces.extend(places.split().rev());
                }
                Err(failure) => {
                    self.fail(places.writes(), &failure, &mut progress);
                    for (numbered, index) in places.moved() {
                        progress.moved(numbered, index);
                    }
                }
            }
        }
        progress.results
    }

    fn set_apart(&self, sessions: impl IntoIterator<Item = String>) {
        self.apart.borrow_mut().extend(sessions);
    }

    /// Waits until the tables are ready; when they cannot be, that is the result of every write.
    async fn begin(&self, writes: &[Write<'_>]) -> Result<Progress, Vec<Option<WriteResult>>> {
        match self.database.prepared().await {
            Ok(()) => Ok(Progress {
                deadline: self.database.deadline(),
                results: vec![None; writes.len()],
            }),
            Err(error) => Err(vec![Some(Err(error)); writes.len()]),
        }
    }

    /// The sessions of events whose places are taken.
    async fn taken_sessions(&self, piece: &[Numbered<'_>], progress: &mut Progress) -> Result<Vec<String>, Failure> {
        let (mut session_ids, mut indexes) = (Vec::new(), Vec::new());
        for numbered in piece {
            if let Write::InsertEvent(event) = numbered.write {
                session_ids.push(&*event.session_id);
                indexes.push(event.event_index);
            }
        }
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&session_ids, Type::TEXT_ARRAY), (&indexes, Type::INT8_ARRAY)];
        self.run(Purpose::Write, progress, async |client| {
            let rows = client.query_typed(&self.taken, &parameters).await?;
            Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Runs one transaction. What is stored gives those that follow all their time again.
    async fn run<R>(
        &self,
        purpose: Purpose,
        progress: &mut Progress,
        work: impl AsyncFnMut(&Connection) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let done = self.database.run(purpose, progress.deadline, work).await?;
        progress.deadline = self.database.deadline();
        Ok(done)
    }

    fn fail(&self, piece: &[Numbered<'_>], failure: &Failure, progress: &mut Progress) {
        for numbered in piece {
            let doing = format!("{} {}", numbered.write.doing(), self.database.options.target.name());
            progress.set(&[*numbered], &Err(failure.clone().into_error(&doing)));
        }
    }
}

/// How far a batch has come.
struct Progress {
    /// When the next transaction must be done.
    deadline: Instant,
    /// What has come of the writes.
    results: Vec<Option<WriteResult>>,
}

impl Progress {
    fn set(&mut self, writes: &[Numbered<'_>], result: &WriteResult) {
        for numbered in writes {
            self.results[numbered.number] = Some(result.clone());
        }
    }

    /// Notes with the error of an event the index that it may be stored at.
    fn moved(&mut self, numbered: Numbered<'_>, index: i64) {
        if let Some(Err(error)) = &mut self.results[numbered.number] {
            error.moved_to = Some(index);
        }
    }

    /// The writes that Postgres can store at all; the others are refused.
    fn sound<'a>(&mut self, writes: &'a [Write<'a>]) -> Vec<Numbered<'a>> {
        let mut sound = Vec::with_capacity(writes.len());
        for (number, write) in writes.iter().enumerate() {
            let numbered = Numbered { number, write };
            match check_text(write) {
                Ok(()) => sound.push(numbered),
                Err(error) => self.set(&[numbered], &Err(error)),
            }
        }
        sound
    }
}

fn session_ids(piece: &[Numbered<'_>]) -> Vec<String> {
    let ids = piece.iter().map(|numbered| numbered.write.session_id());
    ids.map(str::to_owned).collect()
}

fn of_one_session(piece: &[Numbered<'_>]) -> bool {
    let mut ids = piece.iter().map(|numbered| numbered.write.session_id());
    let first = ids.next();
    ids.all(|id| Some(id) == first)
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
        let (sessions, events) = if self.sessions.is_empty() {
            (0, statements.insert_events(client, &self.events).await?)
        } else if self.events.is_empty() {
            (statements.update_sessions(client, &self.sessions).await?, 0)
        } else {
            // All are sent before the first is answered. When one fails the server does not do those that follow, and takes
            // COMMIT for ROLLBACK.
            let (began, sessions, events, committed) = join4(
                client.batch_execute(&statements.begin),
                statements.update_sessions(client, &self.sessions),
                statements.insert_events(client, &self.events),
                client.batch_execute("COMMIT"),
            )
            .await;
            began?;
            let counts = (sessions?, events?);
            committed?;
            counts
        };
        if sessions < self.sessions.len() as u64 {
            return Err(Failure::swallowed(Remedy::None));
        }
        if events < self.events.len() as u64 {
            // Those that are there are found at their places, and the others are tried once more, alone.
            return Err(Failure::swallowed(Remedy::AnotherPlace));
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
