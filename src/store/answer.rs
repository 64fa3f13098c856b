//! What calls to a store come back with, and how.

use std::sync::Arc;
use std::time::Duration;

use super::check::Looked;
use super::compaction::{FoundMessages, StepDone};
use super::error::StoreError;
use super::find::FoundSessions;
use super::load::{Loaded, TakenBack};
use super::prune::Pruned;
use super::rebuild::Rebuilt;
use super::scan::Scanned;
use super::statistics::DatabaseSize;

/// What a call to a store comes back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The call is done and has nothing to say.
    Done,
    /// The event is stored, at this index instead of the one it asked for.
    Reassigned(i64),
    /// The JSON text of a record or of a page.
    Json(String),
    /// The JSON text of an array of events, for all followers that get the same.
    Events(Arc<str>),
    /// There is no such record.
    Absent,
    /// The session is deleted; whether there was anything of it.
    Deleted(bool),
    /// How much the database holds.
    Measured(Box<DatabaseSize>),
    /// What only jobs ask for.
    OfJob(JobAnswer),
}

impl Answer {
    /// The same answer of a call that took so long, for jobs to know.
    #[must_use]
    pub fn taking(self, time: Duration) -> Self {
        match self {
            Self::OfJob(answer) => Self::OfJob(answer.taking(time)),
            answer => answer,
        }
    }
}

/// What the calls of jobs are answered with, where nobody else asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobAnswer {
    /// A page of sessions that meet conditions.
    Sessions(FoundSessions),
    /// What a step of pruning has removed, or would.
    Pruned(Pruned),
    /// The index of the oldest of a session's newest events; nothing, when there are no older ones.
    OldestOfNewest(Option<i64>),
    /// What came of a step of a rebuild.
    Rebuilt(Box<Rebuilt>),
    /// What a look of a check has found.
    Looked(Box<Looked>),
    /// So much space was given back, and whether there is more.
    Freed {
        /// How many bytes.
        bytes: u64,
        /// Whether another call would give back more.
        is_more: bool,
        /// How long it took, so long as nobody else could write.
        took: Duration,
    },
    /// What came of a step of compaction.
    Compacted(StepDone),
    /// What a copy has read of many sessions.
    Scanned(Scanned),
    /// Messages of a session that begin or end turns.
    Messages(Box<FoundMessages>),
    /// What came of the parts of a step of loading.
    Loaded(Loaded),
    /// What came of taking back some of what was loaded.
    TakenBack(TakenBack),
}

impl JobAnswer {
    /// The same answer of a step that took so long.
    #[must_use]
    pub fn taking(mut self, time: Duration) -> Self {
        match &mut self {
            Self::Pruned(Pruned { took, .. })
            | Self::Freed { took, .. }
            | Self::Compacted(StepDone { took, .. })
            | Self::Loaded(Loaded { took, .. })
            | Self::TakenBack(TakenBack { took, .. }) => {
                *took = time;
            }
            Self::Sessions(_)
            | Self::OldestOfNewest(_)
            | Self::Messages(_)
            | Self::Rebuilt(_)
            | Self::Looked(_)
            | Self::Scanned(_) => {}
        }
        self
    }
}

/// A finished call: the caller's ticket, and what the call came back with.
pub type Completion<T> = (T, Result<Answer, StoreError>);

/// Takes finished calls back to the caller, all of one batch at once, on a thread of the store. There may be none.
///
/// `T` is the caller's ticket: the store carries it from the call to its completion and never looks inside.
pub type Deliver<T> = Arc<dyn Fn(Vec<Completion<T>>) + Send + Sync>;
