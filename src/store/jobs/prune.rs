//! Removes sessions that nobody needs any more, or their older events.

use serde::Serialize;

use super::sessions::each_session;
use super::turns::Turns;
use super::vacuum::give_back;
use super::{Calls, Ended, Job};
use crate::store::ReadRequest;
use crate::store::answer::{Answer, JobAnswer};
use crate::store::find::SessionConditions;
use crate::store::mode::Mode;
use crate::store::prune::{Extent, PruneStep, Pruned, Rest};
use crate::store::single::SingleRequest;

/// See the module's description.
#[derive(Debug)]
pub struct Prune {
    conditions: SessionConditions,
    kept: Kept,
    mode: Mode,
}

/// What stays of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// Its record, its labels, and so many of its newest events, which is one at least.
    Newest(i64),
}

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Removed {
    /// How many sessions; with [`Kept::Newest`], of how many events were removed.
    pub sessions: u64,
    /// How many events.
    pub events: u64,
    /// How long the JSON text of these events was.
    pub bytes: u64,
}

impl Prune {
    /// Pruning of the sessions that meet the conditions. There is none of those that meet no condition: that would be all.
    #[must_use]
    pub fn new(conditions: SessionConditions, kept: Kept, mode: Mode) -> Option<Self> {
        (!conditions.are_none()).then_some(Self { conditions, kept, mode })
    }

    /// A dry run of removing a session, whichever that is, for those who name it.
    pub(super) fn dry_run_of_one() -> Self {
        Self {
            conditions: SessionConditions::default(),
            kept: Kept::Nothing,
            mode: Mode::DryRun,
        }
    }

    /// What of the session is to go, if anything is.
    fn extent(&self, store: &dyn Calls<Removed>, session_id: &str) -> Result<Option<Extent>, Ended> {
        let Kept::Newest(count) = self.kept else {
            return Ok(Some(Extent::All));
        };
        let session_id = session_id.to_owned();
        match store.read(ReadRequest::OldestOfNewest { session_id, count })? {
            Answer::OfJob(JobAnswer::OldestOfNewest(index)) => Ok(index.map(Extent::Before)),
            answer => Err(Ended::unexpected(&answer)),
        }
    }

    fn step(&self, store: &dyn Calls<Removed>, step: PruneStep) -> Result<Pruned, Ended> {
        let answer = match self.mode {
            Mode::Run => store.write(SingleRequest::Prune(step).into())?,
            Mode::DryRun => store.read(ReadRequest::WouldPrune(step))?,
        };
        match answer {
            Answer::OfJob(JobAnswer::Pruned(pruned)) => Ok(pruned),
            answer => Err(Ended::unexpected(&answer)),
        }
    }

    /// Removes what is to go of one session.
    pub(super) fn prune(
        &self,
        store: &dyn Calls<Removed>,
        turns: &mut Turns,
        session_id: String,
        removed: &mut Removed,
    ) -> Result<(), Ended> {
        let Some(extent) = self.extent(store, &session_id)? else {
            return Ok(());
        };
        let mut step = PruneStep {
            session_id,
            conditions: self.conditions.clone(),
            extent,
            after: None,
        };
        let mut of_session = 0;
        loop {
            turns.begin();
            let pruned = self.step(store, step.clone())?;
            removed.events += pruned.events;
            removed.bytes += pruned.bytes;
            of_session += pruned.events;
            let is_over = match pruned.rest {
                Rest::More(after) => {
                    step.after = after;
                    false
                }
                Rest::Nothing => {
                    removed.sessions += u64::from(extent == Extent::All || of_session > 0);
                    true
                }
                Rest::Spared => true,
            };
            store.progress(removed)?;
            if self.mode == Mode::Run {
                turns.end(pruned.took);
            }
            if is_over {
                return Ok(());
            }
        }
    }
}

impl Job for Prune {
    type Progress = Removed;
    type Result = Removed;

    fn run(&self, store: &dyn Calls<Removed>) -> Result<Removed, Ended> {
        let mut removed = Removed::default();
        let mut turns = Turns::default();
        each_session(store, &self.conditions, |session_id| {
            self.prune(store, &mut turns, session_id, &mut removed)
        })?;
        if self.mode == Mode::Run {
            give_back(store, &mut turns, |_| Ok(()))?;
        }
        Ok(removed)
    }
}
