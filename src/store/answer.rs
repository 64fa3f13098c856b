//! What calls to a store come back with, and how.

use std::sync::Arc;
use std::time::Duration;

use super::error::StoreError;
use super::jobs::JobAnswer;
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

/// A finished call: the caller's ticket, and what the call came back with.
pub type Completion<T> = (T, Result<Answer, StoreError>);

/// Takes finished calls back to the caller, all of one batch at once, on a thread of the store. There may be none.
///
/// `T` is the caller's ticket: the store carries it from the call to its completion and never looks inside.
pub type Deliver<T> = Arc<dyn Fn(Vec<Completion<T>>) + Send + Sync>;
