//! How far a batch has come: its writes as they are tried, and what came of each. `write` keeps it.

use std::collections::HashSet;

use tokio::time::Instant;

use super::error::Table;
use super::queue::{Obstacle, Waiting};
use super::refusal::Refusals;
use super::text::check_text;
use crate::store::error::StoreError;
use crate::store::write::{Write, WriteResult};

/// A write that is to be tried.
pub(super) struct Attempt<'a> {
    pub(super) write: Result<Write<'a>, StoreError>,
    deadline: Instant,
    /// The index that it was given by an earlier try.
    pub(super) reassigned_to: Option<i64>,
}

impl<'a> Attempt<'a> {
    /// One that `check` does not refuse.
    pub(super) fn of<T>(waiting: &'a Waiting<T>, check: impl FnOnce(&Write<'a>) -> Result<(), StoreError>) -> Self {
        Self {
            write: waiting.request.parse().and_then(|write| check(&write).map(|()| write)),
            deadline: waiting.deadline.unwrap_or_else(Instant::now),
            reassigned_to: waiting.reassigned_to,
        }
    }
}

/// What came of a try.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The write is stored, or refused for good.
    Settled(WriteResult),
    /// It is to be tried again.
    Retry {
        obstacle: Obstacle,
        /// The index that the event was given, where it is not known whether it is stored there.
        reassigned_to: Option<i64>,
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
pub(super) struct BatchedWrite<'a> {
    pub(super) position: usize,
    pub(super) write: &'a Write<'a>,
    /// The index that it was given by an earlier try.
    pub(super) reassigned_to: Option<i64>,
}

impl BatchedWrite<'_> {
    /// The table that it is written to.
    pub(super) fn table(&self) -> Table {
        match self.write {
            Write::UpdateSession(_) => Table::Sessions,
            Write::InsertEvent(_) => Table::Events,
        }
    }
}

/// How far a batch has come.
pub(super) struct Progress {
    /// When the next transaction must be done.
    pub(super) deadline: Instant,
    /// Until when each write is tried.
    pub(super) deadlines: Vec<Instant>,
    /// What has come of the writes. One that nothing is noted for is left, since its session is contested.
    pub(super) outcomes: Vec<Outcome>,
    /// Sessions that others write to as well.
    pub(super) contested: HashSet<String>,
    /// Sessions with a write that was left since a row is locked.
    locked: HashSet<String>,
    pub(super) refusals: Refusals,
}

impl Progress {
    pub(super) fn new(tries: &[Attempt<'_>], at_latest: Instant) -> Self {
        let deadlines: Vec<Instant> = tries.iter().map(|one| one.deadline).collect();
        let outcome = |one: &Attempt<'_>| Outcome::Retry {
            obstacle: Obstacle::Contested,
            reassigned_to: one.reassigned_to,
        };
        Self {
            deadline: deadlines.iter().copied().min().unwrap_or(at_latest),
            deadlines,
            outcomes: tries.iter().map(outcome).collect(),
            contested: HashSet::new(),
            locked: HashSet::new(),
            refusals: Refusals::default(),
        }
    }

    pub(super) fn settle(&mut self, writes: &[BatchedWrite<'_>], result: &WriteResult) {
        for batched in writes {
            if result.is_ok() {
                self.refusals.stored(batched.table());
            }
            self.outcomes[batched.position] = Outcome::Settled(result.clone());
        }
    }

    /// Leaves a write since a row of its session is locked, or of another one that it was sent with.
    pub(super) fn leave_locked(&mut self, batched: BatchedWrite<'_>, reassigned_to: Option<i64>) {
        self.locked.insert(batched.write.session_id().to_owned());
        self.leave(batched, Obstacle::Locked, reassigned_to);
    }

    /// Leaves a write for another batch.
    pub(super) fn leave(&mut self, batched: BatchedWrite<'_>, obstacle: Obstacle, reassigned_to: Option<i64>) {
        self.outcomes[batched.position] = Outcome::Retry {
            obstacle,
            reassigned_to,
        };
    }

    /// Whether a write of the session was left for that: none may overtake it.
    pub(super) fn is_locked(&self, session_id: &str) -> bool {
        self.locked.contains(session_id)
    }

    /// The writes that Postgres can store at all; the others are refused.
    pub(super) fn sound<'a>(&mut self, tries: &'a [Attempt<'a>]) -> Vec<BatchedWrite<'a>> {
        let mut sound = Vec::with_capacity(tries.len());
        for (position, one) in tries.iter().enumerate() {
            let checked = one.write.as_ref().map_err(StoreError::clone);
            match checked.and_then(|write| check_text(write).map(|()| write)) {
                Ok(write) => sound.push(BatchedWrite {
                    position,
                    write,
                    reassigned_to: one.reassigned_to,
                }),
                Err(error) => self.outcomes[position] = Outcome::Settled(Err(error)),
            }
        }
        sound
    }

    pub(super) fn into_committed(self) -> Committed {
        Committed {
            outcomes: self.outcomes,
            contested: self.contested,
        }
    }
}
