//! What is written to Postgres: one batch of writes at a time, as few transactions as can be. `batches` calls it.
//!
//! Most batches are one statement, which is a transaction by itself. It only inserts: when a place is taken the server
//! undoes all of it, and the sessions whose places are taken are contested, to be written by [`super::place`] with care.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Reach, Remedy};
use super::pipeline::Pipelines;
use super::place::Places;
use super::progress::{Attempt, BatchedWrite, Committed, Outcome, Progress};
use super::queue::Obstacle;
use super::rows::Rows;
use super::statement::Statements;
use super::tables::Preparation;
use crate::store::Answer;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::reassigned::ReassignedSessions;
use crate::store::write::Write;

/// What writes the batches of a store.
pub(super) struct Writer {
    database: Rc<Database>,
    preparation: Rc<Preparation>,
    statements: Statements,
    reassigned: RefCell<ReassignedSessions>,
}

/// What came of sending a piece of a batch.
enum PieceOutcome {
    Stored,
    /// Nothing is stored. Events of these sessions found their places taken; none, where all places are free by now.
    PlacesTaken(Vec<String>),
}

impl Writer {
    pub(super) fn new(database: Rc<Database>, preparation: Rc<Preparation>) -> Self {
        let tables = &database.options.tables;
        Self {
            statements: Statements::new(tables, database.options.query_timeout),
            reassigned: RefCell::default(),
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

    /// Forgets what it remembers of a session.
    pub(super) fn forget(&self, session_id: &str) {
        self.reassigned.borrow_mut().forget(session_id);
    }

    /// Commits writes of sessions that get along, or may. Those that turn out not to are left.
    pub(super) async fn commit_together(&self, tries: &[Attempt<'_>], lock_limit: Duration) -> Committed {
        let mut progress = match self.begin(tries).await {
            Ok(progress) => progress,
            Err(committed) => return committed,
        };
        let mut pieces = vec![progress.sound(tries)];
        let mut places = HashSet::new();
        for batched in &pieces[0] {
            if let Write::InsertEvent(event) = batched.write
                && (!places.insert((&*event.session_id, event.event_index))
                    || batched.reassigned_to.is_some()
                    || self.last_reassigned(&event.session_id) >= Some(event.event_index))
            {
                progress.contested.insert(event.session_id.clone().into_owned());
            }
        }
        while let Some(mut piece) = pieces.pop() {
            piece.retain(|batched| !progress.contested.contains(batched.write.session_id()));
            piece.retain(|batched| {
                let is_locked = progress.is_locked(batched.write.session_id());
                if is_locked {
                    progress.leave_locked(*batched, None);
                }
                !is_locked
            });
            piece.retain(|batched| !self.fail_if_refused(*batched, &mut progress));
            if piece.is_empty() {
                continue;
            }
            match self.send(&piece, &mut progress, lock_limit).await {
                Ok(PieceOutcome::Stored) => progress.settle(&piece, &Ok(Answer::Done)),
                // The event that held a place was deleted, or another unique index refuses a row. Halves lead to that row, whose
                // session is then written with care.
                Ok(PieceOutcome::PlacesTaken(taken)) if taken.is_empty() => match halves(piece) {
                    Ok(halves) => pieces.extend(halves),
                    Err(one) => progress.contested.extend(session_ids(&one)),
                },
                Ok(PieceOutcome::PlacesTaken(taken)) => {
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
                    for batched in piece {
                        if may_be_others || !self.fail_if_late(batched, &failure, &mut progress) {
                            progress.leave_locked(batched, None);
                        }
                    }
                }
                Err(failure) if failure.may_pass() => {
                    let rest = std::mem::take(&mut pieces).into_iter().rev().flatten();
                    let left = piece
                        .into_iter()
                        .chain(rest)
                        .map(|batched| (batched, batched.reassigned_to));
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
    pub(super) async fn commit_contested(&self, tries: &[Attempt<'_>], lock_limit: Duration) -> Committed {
        let mut progress = match self.begin(tries).await {
            Ok(progress) => progress,
            Err(committed) => return committed,
        };
        let options = &self.database.options;
        let sound = progress.sound(tries);
        let Some(session_id) = sound.first().map(|batched| batched.write.session_id()) else {
            return progress.into_committed();
        };
        let mut is_contested = true;
        let mut pieces = vec![Places::new(session_id, sound, &options.tables, options.index_conflict)];
        while let Some(mut places) = pieces.pop() {
            if progress.is_locked(session_id) {
                for (batched, reassigned_to) in places.unsure() {
                    progress.leave_locked(batched, reassigned_to);
                }
                continue;
            }
            for (batched, reassigned_to) in places.unsure() {
                if self.fail_if_refused(batched, &mut progress) {
                    self.may_be_reassigned(batched, reassigned_to, &mut progress);
                }
            }
            places.retain(|batched| progress.refusals.of_table(batched.table()).is_none());
            if places.writes().is_empty() {
                continue;
            }
            let last_reassigned = self.last_reassigned(session_id);
            let stored = self.run(&mut progress, async |client| {
                places
                    .store(client, &self.statements, last_reassigned, lock_limit)
                    .await
            });
            match stored.await {
                Ok(answers) => {
                    is_contested = !places.were_free();
                    for answer in &answers {
                        if let Ok(Answer::Reassigned(index)) = answer {
                            self.reassigned.borrow_mut().note(session_id, *index);
                        }
                    }
                    for (batched, answer) in places.writes().iter().zip(answers) {
                        progress.settle(&[*batched], &answer);
                    }
                }
                Err(failure) if failure.is_too_slow() && places.writes().len() > 1 => {
                    let half = places.writes().len().div_ceil(2);
                    pieces.extend(places.split(half));
                }
                Err(failure) if failure.remedy == Remedy::AnotherTime => {
                    for (batched, reassigned_to) in places.unsure() {
                        if self.fail_if_late(batched, &failure, &mut progress) {
                            self.may_be_reassigned(batched, reassigned_to, &mut progress);
                        } else {
                            progress.leave_locked(batched, reassigned_to);
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
                        for (batched, reassigned_to) in places.unsure() {
                            self.may_be_reassigned(batched, reassigned_to, &mut progress);
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
    async fn begin(&self, tries: &[Attempt<'_>]) -> Result<Progress, Committed> {
        match self.preparation.done().await {
            Ok(()) => Ok(Progress::new(tries, self.deadline())),
            Err(error) => Err(self.fail_all(tries, &error)),
        }
    }

    /// Fails a batch of which nothing was sent. What an earlier try may have stored is noted all the same.
    fn fail_all(&self, tries: &[Attempt<'_>], error: &StoreError) -> Committed {
        let mut reassigned = self.reassigned.borrow_mut();
        let outcomes = tries.iter().map(|one| {
            if let (Some(index), Ok(write)) = (one.reassigned_to, &one.write) {
                reassigned.note(write.session_id(), index);
            }
            Outcome::Settled(Err(StoreError {
                reassigned_to: one.reassigned_to,
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
        piece: &[BatchedWrite<'_>],
        progress: &mut Progress,
        lock_limit: Duration,
    ) -> Result<PieceOutcome, Failure> {
        let rows = Rows::of(piece);
        let stored = self.run_pipelined(progress, async |client| {
            rows.store(client, &self.statements, lock_limit).await
        });
        match stored.await {
            Ok(()) => Ok(PieceOutcome::Stored),
            Err(failure) if failure.remedy == Remedy::AnotherPlace => {
                let taken = self.run_pipelined(progress, async |client| {
                    rows.taken_sessions(client, &self.statements).await
                });
                Ok(PieceOutcome::PlacesTaken(taken.await?))
            }
            Err(failure) => Err(failure),
        }
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

    /// The index that an event of the session was last reassigned to.
    fn last_reassigned(&self, session_id: &str) -> Option<i64> {
        self.reassigned.borrow_mut().get(session_id).copied()
    }

    /// Notes of an event that has failed where it may be stored all the same: with its error, so that another try begins
    /// there, and for its session, so that later events follow it.
    fn may_be_reassigned(&self, batched: BatchedWrite<'_>, reassigned_to: Option<i64>, progress: &mut Progress) {
        if let (Some(index), Outcome::Settled(Err(error))) = (reassigned_to, &mut progress.outcomes[batched.position]) {
            error.reassigned_to = reassigned_to;
            self.reassigned.borrow_mut().note(batched.write.session_id(), index);
        }
    }

    fn fail(&self, piece: &[BatchedWrite<'_>], failure: &Failure, progress: &mut Progress) {
        for batched in piece {
            let doing = format!("{} {}", batched.write.doing(), self.database.options.target.name());
            progress.settle(&[*batched], &Err(failure.clone().into_error(&doing)));
        }
    }

    /// Fails a write whose table refuses every row.
    fn fail_if_refused(&self, batched: BatchedWrite<'_>, progress: &mut Progress) -> bool {
        let Some(failure) = progress.refusals.of_table(batched.table()).cloned() else {
            return false;
        };
        self.fail(&[batched], &failure, progress);
        true
    }

    /// Fails the writes whose time is over, as that of a transaction was. The others are left, so that those need not wait for
    /// them to be told.
    fn run_out_of_time<'a>(
        &self,
        writes: impl Iterator<Item = (BatchedWrite<'a>, Option<i64>)>,
        failure: &Failure,
        progress: &mut Progress,
    ) {
        for (batched, reassigned_to) in writes {
            if progress.deadlines[batched.position] <= progress.deadline {
                self.fail(&[batched], failure, progress);
                self.may_be_reassigned(batched, reassigned_to, progress);
            } else {
                progress.leave(batched, Obstacle::Away, reassigned_to);
            }
        }
    }

    /// Fails a write that has been tried for long enough.
    fn fail_if_late(&self, batched: BatchedWrite<'_>, failure: &Failure, progress: &mut Progress) -> bool {
        let is_late = Instant::now() >= progress.deadlines[batched.position];
        if is_late {
            self.fail(&[batched], failure, progress);
        }
        is_late
    }
}

fn session_ids(piece: &[BatchedWrite<'_>]) -> Vec<String> {
    let ids = piece.iter().map(|batched| batched.write.session_id());
    ids.map(str::to_owned).collect()
}

fn of_one_session(piece: &[BatchedWrite<'_>]) -> bool {
    let mut ids = piece.iter().map(|batched| batched.write.session_id());
    let first = ids.next();
    ids.all(|id| Some(id) == first)
}

/// Two halves, the first on top of the stack; or the only write.
fn halves(mut piece: Vec<BatchedWrite<'_>>) -> Result<[Vec<BatchedWrite<'_>>; 2], Vec<BatchedWrite<'_>>> {
    if piece.len() < 2 {
        return Err(piece);
    }
    let second = piece.split_off(piece.len() / 2);
    Ok([second, piece])
}
