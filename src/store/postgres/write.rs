//! What is written to Postgres: one batch of writes at a time, as few transactions as can be. `batches` calls it.
//!
//! Most batches are one statement, which is a transaction by itself. It only inserts: when a place is taken the server
//! undoes all of it, and the sessions whose places are taken are contested, to be written by [`super::place`] with care.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join4;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Remedy};
use super::place::Places;
use super::queue::{Obstacle, Waiting};
use super::refusal::{Reach, Refusals, Table};
use super::statement::{Placed, Statements};
use crate::store::Answer;
use crate::store::commit::{Write, WriteResult};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::model::SessionRecord;
use crate::store::moved::MovedSessions;

/// What writes the batches of a store.
pub(super) struct Writer {
    database: Rc<Database>,
    statements: Statements,
    taken: String,
    moved: RefCell<MovedSessions>,
}

/// A write that is to be tried.
pub(super) struct Try<'a> {
    write: Result<Write<'a>, StoreError>,
    deadline: Instant,
    moved_to: Option<i64>,
}

impl<'a> Try<'a> {
    pub(super) fn of<T>(waiting: &'a Waiting<T>) -> Self {
        Self {
            write: waiting.request.parse(),
            deadline: waiting.deadline.unwrap_or_else(Instant::now),
            moved_to: waiting.moved_to,
        }
    }
}

/// What came of a try.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The write is stored, or refused for good.
    Settled(WriteResult),
    /// It is to be tried again.
    Left {
        obstacle: Obstacle,
        /// The index that the event was given, where it is not known whether it is stored there.
        moved_to: Option<i64>,
    },
}

/// What came of a batch.
pub(super) struct Committed {
    /// What came of each write.
    pub(super) outcomes: Vec<Outcome>,
    /// Sessions that others write to as well.
    pub(super) contested: HashSet<String>,
}

/// A write, and where it stands in its batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered<'a> {
    pub(super) number: usize,
    pub(super) write: &'a Write<'a>,
    /// The index that it was given by an earlier try.
    pub(super) moved_to: Option<i64>,
}

impl Numbered<'_> {
    /// The table that it is written to.
    pub(super) fn table(&self) -> Table {
        match self.write {
            Write::UpdateSession(_) => Table::Sessions,
            Write::InsertEvent(_) => Table::Events,
        }
    }
}

/// What came of sending a piece of a batch.
enum Sent {
    Stored,
    /// Nothing is stored. Events of these sessions found their places taken; of none, if whoever was there is gone.
    Taken(Vec<String>),
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
            moved: RefCell::default(),
            database,
        }
    }

    /// Until when a write is tried whose first try begins now.
    pub(super) fn deadline(&self) -> Instant {
        self.database.deadline()
    }

    /// Commits writes of sessions that get along, or may. Those that turn out not to are left.
    pub(super) async fn commit_together(&self, tries: &[Try<'_>], lock_limit: Duration) -> Committed {
        let mut progress = match self.begin(tries).await {
            Ok(progress) => progress,
            Err(committed) => return committed,
        };
        let mut pieces = vec![progress.sound(tries)];
        let mut places = HashSet::new();
        for numbered in &pieces[0] {
            if let Write::InsertEvent(event) = numbered.write
                && (!places.insert((&*event.session_id, event.event_index))
                    || self.last_moved(&event.session_id) >= Some(event.event_index))
            {
                progress.contested.insert(event.session_id.clone().into_owned());
            }
        }
        while let Some(mut piece) = pieces.pop() {
            piece.retain(|numbered| !progress.contested.contains(numbered.write.session_id()));
            piece.retain(|numbered| !self.fail_if_refused(*numbered, &mut progress));
            if piece.is_empty() {
                continue;
            }
            match self.send(&piece, &mut progress, lock_limit).await {
                Ok(Sent::Stored) => progress.settle(&piece, &Ok(Answer::Done)),
                // Whoever was in the way is gone, or something else refuses a row: the one write will tell.
                Ok(Sent::Taken(taken)) if taken.is_empty() => match halves(piece) {
                    Ok(halves) => pieces.extend(halves),
                    Err(one) => progress.contested.extend(session_ids(&one)),
                },
                Ok(Sent::Taken(taken)) => {
                    progress.contested.extend(taken);
                    pieces.push(piece);
                }
                Err(failure) if failure.remedy == Remedy::AnotherTime => {
                    // Of several sessions nobody knows yet which one is locked, and the others need not give up.
                    let may_be_others = failure.kind == ErrorKind::Busy && !of_one_session(&piece);
                    for numbered in piece {
                        if may_be_others || !self.fail_if_late(numbered, &failure, &mut progress) {
                            progress.leave(numbered, Obstacle::Locked, None);
                        }
                    }
                }
                Err(failure) => match failure.reach() {
                    Reach::Row | Reach::Unknown => match halves(piece) {
                        Ok(halves) => pieces.extend(halves),
                        Err(one) => {
                            self.fail(&one, &failure, &mut progress);
                            progress.refusals.of_one_row(failure);
                        }
                    },
                    Reach::Table(table) => {
                        progress.refusals.of_all_rows(table, failure);
                        pieces.push(piece);
                    }
                    Reach::Everything => self.fail(&piece, &failure, &mut progress),
                },
            }
        }
        progress.into_committed()
    }

    /// Commits writes of one contested session, with care.
    pub(super) async fn commit_contested(&self, tries: &[Try<'_>], lock_limit: Duration) -> Committed {
        let mut progress = match self.begin(tries).await {
            Ok(progress) => progress,
            Err(committed) => return committed,
        };
        let options = &self.database.options;
        let sound = progress.sound(tries);
        let Some(session_id) = sound.first().map(|numbered| numbered.write.session_id()) else {
            return progress.into_committed();
        };
        let mut is_contested = true;
        let mut pieces = vec![Places::new(session_id, sound, &options.tables, options.index_conflict)];
        while let Some(mut places) = pieces.pop() {
            places.retain(|numbered| !self.fail_if_refused(*numbered, &mut progress));
            if places.writes().is_empty() {
                continue;
            }
            let last_moved = self.last_moved(session_id);
            let stored = self.run(&mut progress, async |client| {
                places.store(client, &self.statements, last_moved, lock_limit).await
            });
            match stored.await {
                Ok(answers) => {
                    is_contested = !places.were_free();
                    for answer in &answers {
                        if let Ok(Answer::Reassigned(index)) = answer {
                            self.moved.borrow_mut().moved(session_id, *index);
                        }
                    }
                    for (numbered, answer) in places.writes().iter().zip(answers) {
                        progress.settle(&[*numbered], &answer);
                    }
                }
                Err(failure) if failure.remedy == Remedy::AnotherTime => {
                    for (numbered, moved_to) in places.unsure() {
                        if self.fail_if_late(numbered, &failure, &mut progress) {
                            self.may_have_moved(numbered, moved_to, &mut progress);
                        } else {
                            progress.leave(numbered, Obstacle::Locked, moved_to);
                        }
                    }
                }
                Err(failure) => match failure.reach() {
                    // One by one, in their order, so that a bad one fails alone.
                    Reach::Row | Reach::Unknown if places.writes().len() > 1 => pieces.extend(places.split().rev()),
                    Reach::Table(table) => {
                        progress.refusals.of_all_rows(table, failure);
                        pieces.push(places);
                    }
                    reach => {
                        self.fail(places.writes(), &failure, &mut progress);
                        for (numbered, moved_to) in places.unsure() {
                            self.may_have_moved(numbered, moved_to, &mut progress);
                        }
                        if reach == Reach::Unknown {
                            progress.refusals.of_one_row(failure);
                        }
                    }
                },
            }
        }
        if is_contested {
            progress.contested.insert(session_id.to_owned());
        }
        progress.into_committed()
    }

    /// Waits until the tables are ready; when they cannot be, that is the result of every write.
    async fn begin(&self, tries: &[Try<'_>]) -> Result<Progress, Committed> {
        match self.database.prepared().await {
            Ok(()) => Ok(Progress::new(tries, self.deadline())),
            Err(error) => Err(Committed {
                outcomes: vec![Outcome::Settled(Err(error)); tries.len()],
                contested: HashSet::new(),
            }),
        }
    }

    /// Sends a piece of a batch as one transaction.
    async fn send(
        &self,
        piece: &[Numbered<'_>],
        progress: &mut Progress,
        lock_limit: Duration,
    ) -> Result<Sent, Failure> {
        let rows = Rows::of(piece);
        let stored = self.run(progress, async |client| {
            rows.store(client, &self.statements, lock_limit).await
        });
        match stored.await {
            Ok(()) => Ok(Sent::Stored),
            Err(failure) if failure.remedy == Remedy::AnotherPlace => {
                Ok(Sent::Taken(self.taken_sessions(piece, progress).await?))
            }
            Err(failure) => Err(failure),
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
        self.run(progress, async |client| {
            let rows = client.query_typed(&self.taken, &parameters).await;
            let rows = rows.map_err(|error| Failure::of_writing(&error, Table::Events))?;
            Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Runs one transaction. What is stored gives those that follow all their time again.
    async fn run<R>(
        &self,
        progress: &mut Progress,
        work: impl AsyncFnMut(&Connection) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let done = self.database.run(Purpose::Write, progress.deadline, work).await?;
        progress.deadline = self.deadline();
        Ok(done)
    }

    /// The index that an event of the session was last moved to.
    fn last_moved(&self, session_id: &str) -> Option<i64> {
        self.moved.borrow_mut().last(session_id)
    }

    /// Notes of an event that has failed where it may be stored all the same: with its error, so that another try begins
    /// there, and for its session, so that later events follow it.
    fn may_have_moved(&self, numbered: Numbered<'_>, moved_to: Option<i64>, progress: &mut Progress) {
        if let (Some(index), Outcome::Settled(Err(error))) = (moved_to, &mut progress.outcomes[numbered.number]) {
            error.moved_to = moved_to;
            self.moved.borrow_mut().moved(numbered.write.session_id(), index);
        }
    }

    fn fail(&self, piece: &[Numbered<'_>], failure: &Failure, progress: &mut Progress) {
        for numbered in piece {
            let doing = format!("{} {}", numbered.write.doing(), self.database.options.target.name());
            progress.settle(&[*numbered], &Err(failure.clone().into_error(&doing)));
        }
    }

    /// Fails a write whose table refuses every row.
    fn fail_if_refused(&self, numbered: Numbered<'_>, progress: &mut Progress) -> bool {
        let Some(failure) = progress.refusals.of_table(numbered.table()).cloned() else {
            return false;
        };
        self.fail(&[numbered], &failure, progress);
        true
    }

    /// Fails a write that has been tried for long enough.
    fn fail_if_late(&self, numbered: Numbered<'_>, failure: &Failure, progress: &mut Progress) -> bool {
        let is_late = Instant::now() >= progress.deadlines[numbered.number];
        if is_late {
            self.fail(&[numbered], failure, progress);
        }
        is_late
    }
}

/// How far a batch has come.
struct Progress {
    /// When the next transaction must be done.
    deadline: Instant,
    /// Until when each write is tried.
    deadlines: Vec<Instant>,
    /// What has come of the writes. One that nothing is noted for is left, since its session is contested.
    outcomes: Vec<Outcome>,
    /// Sessions that others write to as well.
    contested: HashSet<String>,
    refusals: Refusals,
}

impl Progress {
    fn new(tries: &[Try<'_>], at_latest: Instant) -> Self {
        let deadlines: Vec<Instant> = tries.iter().map(|one| one.deadline).collect();
        let outcome = |one: &Try<'_>| Outcome::Left {
            obstacle: Obstacle::Contested,
            moved_to: one.moved_to,
        };
        Self {
            deadline: deadlines.iter().copied().min().unwrap_or(at_latest),
            deadlines,
            outcomes: tries.iter().map(outcome).collect(),
            contested: HashSet::new(),
            refusals: Refusals::default(),
        }
    }

    fn settle(&mut self, writes: &[Numbered<'_>], result: &WriteResult) {
        for numbered in writes {
            self.outcomes[numbered.number] = Outcome::Settled(result.clone());
        }
    }

    fn leave(&mut self, numbered: Numbered<'_>, obstacle: Obstacle, moved_to: Option<i64>) {
        self.outcomes[numbered.number] = Outcome::Left { obstacle, moved_to };
    }

    /// The writes that Postgres can store at all; the others are refused.
    fn sound<'a>(&mut self, tries: &'a [Try<'a>]) -> Vec<Numbered<'a>> {
        let mut sound = Vec::with_capacity(tries.len());
        for (number, one) in tries.iter().enumerate() {
            let checked = one.write.as_ref().map_err(StoreError::clone);
            match checked.and_then(|write| check_text(write).map(|()| write)) {
                Ok(write) => sound.push(Numbered {
                    number,
                    write,
                    moved_to: one.moved_to,
                }),
                Err(error) => self.outcomes[number] = Outcome::Settled(Err(error)),
            }
        }
        sound
    }

    fn into_committed(self) -> Committed {
        Committed {
            outcomes: self.outcomes,
            contested: self.contested,
        }
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
    async fn store(&self, client: &Client, statements: &Statements, lock_limit: Duration) -> Result<(), Failure> {
        let (sessions, events) = if self.sessions.is_empty() {
            (0, statements.insert_events(client, &self.events, lock_limit).await?)
        } else if self.events.is_empty() {
            (statements.update_sessions(client, &self.sessions, lock_limit).await?, 0)
        } else {
            // All are sent before the first is answered. When one fails the server does not do those that follow, and takes
            // COMMIT for ROLLBACK.
            let (began, sessions, events, committed) = join4(
                client.batch_execute(&statements.begin),
                statements.update_sessions(client, &self.sessions, lock_limit),
                statements.insert_events(client, &self.events, lock_limit),
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
