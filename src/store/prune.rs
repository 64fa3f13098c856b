//! Pruning one session step by step: what is asked for, and what a step has done. [`jobs::prune`](super::jobs::prune) asks, and
//! both backends do it.

use std::time::Duration;

use super::error::Quoted;
use super::find::SessionConditions;

/// A step of pruning one session. Each removes the oldest events that are left, in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneStep {
    /// The session's id.
    pub session_id: String,
    /// What the session must still meet.
    pub conditions: SessionConditions,
    /// What is to go.
    pub extent: Extent,
    /// Where the step before has come to, if there was one.
    pub after: Option<i64>,
}

/// What of a session is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The session: its events, and with the last of them its labels and its record.
    All,
    /// Its events before this index.
    Before(i64),
}

impl Extent {
    /// The index that all events which are to go come before.
    #[must_use]
    pub fn end(self) -> i64 {
        match self {
            Self::All => i64::MAX,
            Self::Before(index) => index,
        }
    }
}

impl PruneStep {
    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> String {
        format!("pruning session {} in", Quoted(&self.session_id))
    }

    /// The texts that the database compares with its own.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        self.conditions.texts().chain([&*self.session_id]).collect()
    }
}

/// What a step has removed, or would remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// How many events.
    pub events: u64,
    /// How long their JSON text was.
    pub bytes: u64,
    /// What there is to do after it.
    pub rest: Rest,
    /// How long it took, so long as nobody else could write.
    pub took: Duration,
}

/// What is left to do of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Other events are to go: those after this index, or all that are left.
    More(Option<i64>),
    /// Nothing.
    Nothing,
    /// The session does not meet the conditions, or is not there: the step has left it alone.
    Spared,
}

impl Pruned {
    /// Nothing was removed.
    pub const SPARED: Self = Self {
        events: 0,
        bytes: 0,
        rest: Rest::Spared,
        took: Duration::ZERO,
    };
}
