//! What is written to Postgres: one batch of writes at a time, as few transactions as can be. `batches` calls it.
//!
//! Most batches are one statement, which is a transaction by itself. It only inserts: when a place is taken the server
//! undoes all of it, and the sessions whose places are taken are contested, to be written by [`super::place`] with care.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Reach, Remedy, Table};
use super::pipeline::Pipelines;
use super::place::Places;
use super::progress::{Committed, Numbered, Outcome, Progress, Try};
use super::queue::Obstacle;
use super::rows::Rows;
use super::statement::Statements;
use super::tables::Preparation;
use crate::store::Answer;
use crate::store::commit::Write;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::moved::MovedSessions;

/// What writes the batches of a store.
pub(super) struct Writer {
    database: Rc<Database>,
    preparation: Rc<Preparation>,
    statements: Statements,
    taken: String,
    moved: RefCell<MovedSessions>,
}

/// What came of sending a piece of a batch.
enum Sent {
    Stored,
    /// Nothing is stored. Events of these sessions found their places taken; none, where all places are free by now.
    Taken(Vec<String>),
}

impl Writer {
    pub(super) fn new(database: Rc<Database>, preparation: Rc<Preparation>) -> Self {
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
            preparation,
        }
    }

    /// The connections that batches of sessions that get along share.
    pub(super) fn pipelines(&self) -> &Pipelines {
        &self.database.pipelines
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
                    || numbered.moved_to.is_some()
                    || self.last_moved(&event.session_id) >= Some(event.event_index))
            {
                progress.contested.insert(event.session_id.clone().into_owned());
            }
        }
        while let Some(mut piece) = pieces.pop() {
            piece.retain(|numbered| !progress.contested.contains(numbered.write.session_id()));
            piece.retain(|numbered| {
                let is_locked = progress.is_locked(numbered.write.session_id());
                if is_locked {
                    progress.leave_locked(*numbered, None);
                }
                !is_locked
            });
            piece.retain(|numbered| !self.fail_if_refused(*numbered, &mut progress));
            if piece.is_empty() {
                continue;
            }
            match self.send(&piece, &mut progress, lock_limit).await {
                Ok(Sent::Stored) => progress.settle(&piece, &Ok(Answer::Done)),
                // The event that held a place was deleted, or another unique index refuses a row. Halves lead to that row, whose
                // session is then written with care.
                Ok(Sent::Taken(taken)) if taken.is_empty() => match halves(piece) {
                    Ok(halves) => pieces.extend(halves),
                    Err(one) => progress.contested.extend(session_ids(&one)),
                },
                Ok(Sent::Taken(taken)) => {
                    progress.contested.extend(taken);
                    pieces.push(piece);
                }
                // Of several sessions one may be locked; one session alone is first asked to store less at a time.
                Err(failure) if failure.is_too_slow() && piece.len() > 1 && of_one_session(&piece) => {
                    pieces.extend(halves(piece).into_iter().flatten());
                }
                Err(failure) if failure.remedy == Remedy::AnotherTime => {
                    // Of several sessions nobody knows yet which one is locked, and the others need not give up.
                    let may_be_others = failure.kind == ErrorKind::Busy && !of_one_session(&piece);
                    for numbered in piece {
                        if may_be_others || !self.fail_if_late(numbered, &failure, &mut progress) {
                            progress.leave_locked(numbered, None);
                        }
                    }
                }
                Err(failure) if failure.may_pass() => {
                    let rest = std::mem::take(&mut pieces).into_iter().rev().flatten();
                    let left = piece
                        .into_iter()
                        .chain(rest)
                        .map(|numbered| (numbered, numbered.moved_to));
                    self.run_out_of_time(left, &failure, &mut progress);
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
            if progress.is_locked(session_id) {
                for (numbered, moved_to) in places.unsure() {
                    progress.leave_locked(numbered, moved_to);
                }
                continue;
            }
            for (numbered, moved_to) in places.unsure() {
                if self.fail_if_refused(numbered, &mut progress) {
                    self.may_have_moved(numbered, moved_to, &mut progress);
                }
            }
            places.retain(|numbered| progress.refusals.of_table(numbered.table()).is_none());
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
                Err(failure) if failure.is_too_slow() && places.writes().len() > 1 => {
                    let half = places.writes().len().div_ceil(2);
                    pieces.extend(places.split(half));
                }
                Err(failure) if failure.remedy == Remedy::AnotherTime => {
                    for (numbered, moved_to) in places.unsure() {
                        if self.fail_if_late(numbered, &failure, &mut progress) {
                            self.may_have_moved(numbered, moved_to, &mut progress);
                        } else {
                            progress.leave_locked(numbered, moved_to);
                        }
                    }
                }
                Err(failure) if failure.may_pass() => {
                    let rest = std::mem::take(&mut pieces);
                    let left = std::iter::once(&places)
                        .chain(rest.iter().rev())
                        .flat_map(Places::unsure);
                    self.run_out_of_time(left, &failure, &mut progress);
                }
                Err(failure) => match failure.reach() {
                    // One by one, in their order, so that a bad one fails alone.
                    Reach::Row | Reach::Unknown if places.writes().len() > 1 => pieces.extend(places.split(1)),
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
        match self.preparation.done().await {
            Ok(()) => Ok(Progress::new(tries, self.deadline())),
            Err(error) => Err(self.fail_all(tries, &error)),
        }
    }

    /// Fails a batch of which nothing was sent. What an earlier try may have stored is noted all the same.
    fn fail_all(&self, tries: &[Try<'_>], error: &StoreError) -> Committed {
        let mut moved = self.moved.borrow_mut();
        let outcomes = tries.iter().map(|one| {
            if let (Some(index), Ok(write)) = (one.moved_to, &one.write) {
                moved.moved(write.session_id(), index);
            }
            Outcome::Settled(Err(StoreError {
                moved_to: one.moved_to,
                ..error.clone()
            }))
        });
        Committed {
            outcomes: outcomes.collect(),
            contested: HashSet::new(),
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
        let stored = self.run_pipelined(progress, async |client| {
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
        self.run_pipelined(progress, async |client| {
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

    /// The same for one that is sent in one piece, beside others on its connection.
    async fn run_pipelined<R>(
        &self,
        progress: &mut Progress,
        work: impl AsyncFnMut(&Connection) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let done = self.database.run_pipelined(progress.deadline, work).await?;
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

    /// Fails the writes whose time is over, as that of a transaction was. The others are left, so that those need not wait for
    /// them to be told.
    fn run_out_of_time<'a>(
        &self,
        writes: impl Iterator<Item = (Numbered<'a>, Option<i64>)>,
        failure: &Failure,
        progress: &mut Progress,
    ) {
        for (numbered, moved_to) in writes {
            if progress.deadlines[numbered.number] <= progress.deadline {
                self.fail(&[numbered], failure, progress);
                self.may_have_moved(numbered, moved_to, progress);
            } else {
                progress.leave(numbered, Obstacle::Away, moved_to);
            }
        }
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

fn session_ids(piece: &[Numbered<'_>]) -> Vec<String> {
    let ids = piece.iter().map(|numbered| numbered.write.session_id());
    ids.map(str::to_owned).collect()
}

fn of_one_session(piece: &[Numbered<'_>]) -> bool {
    let mut ids = piece.iter().map(|numbered| numbered.write.session_id());
    let first = ids.next();
    ids.all(|id| Some(id) == first)
}

/// Two halves, the first on top of the stack; or the only write.
fn halves(mut piece: Vec<Numbered<'_>>) -> Result<[Vec<Numbered<'_>>; 2], Vec<Numbered<'_>>> {
    if piece.len() < 2 {
        return Err(piece);
    }
    let second = piece.split_off(piece.len() / 2);
    Ok([second, piece])
}
