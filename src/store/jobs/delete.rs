//! Deletes sessions one after the other, and counts what there is of them before that.

use serde::Serialize;

use super::prune::{Prune, Removed};
use super::turns::Turns;
use super::{Calls, Ended, Job};
use crate::store::ReadRequest;
use crate::store::answer::{Answer, JobAnswer};
use crate::store::single::SingleRequest;

/// What there is of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Extent {
    /// A record, and so many events.
    Session {
        /// How many events.
        events: u64,
        /// How long their JSON text is.
        bytes: u64,
    },
    /// Events or labels, without a record.
    WithoutRecord,
    /// Nothing.
    Nothing,
}

/// Counts what there is of sessions, in the order in which they are named.
#[derive(Debug)]
pub struct CountSessions {
    /// The ids of the sessions.
    pub session_ids: Vec<String>,
}

impl Job for CountSessions {
    type Progress = Removed;
    type Result = Vec<Extent>;

    fn run(&self, store: &dyn Calls<Removed>) -> Result<Vec<Extent>, Ended> {
        let mut counted = Removed::default();
        let extents = self
            .session_ids
            .iter()
            .map(|session_id| extent(store, session_id, &mut counted));
        extents.collect()
    }
}

/// Deletes sessions. Those that were deleted when it ends stay so.
#[derive(Debug)]
pub struct DeleteSessions {
    /// The ids of the sessions.
    pub session_ids: Vec<String>,
}

impl Job for DeleteSessions {
    type Progress = u64;
    type Result = u64;

    fn run(&self, store: &dyn Calls<u64>) -> Result<u64, Ended> {
        let mut deleted = 0;
        for session_id in self.session_ids.iter().cloned() {
            match store.write(SingleRequest::DeleteSession { session_id }.into())? {
                Answer::Deleted(_) => deleted += 1,
                answer => return Err(Ended::unexpected(&answer)),
            }
            store.progress(&deleted)?;
        }
        Ok(deleted)
    }
}

fn extent(store: &dyn Calls<Removed>, session_id: &str, counted: &mut Removed) -> Result<Extent, Ended> {
    let before = *counted;
    // What pruning would remove is all that there is.
    Prune::dry_run_of_one().prune(store, &mut Turns::default(), session_id.to_owned(), counted)?;
    if counted.sessions > before.sessions {
        return Ok(Extent::Session {
            events: counted.events - before.events,
            bytes: counted.bytes - before.bytes,
        });
    }
    Ok(if has_events(store, session_id)? || has_labels(store, session_id)? {
        Extent::WithoutRecord
    } else {
        Extent::Nothing
    })
}

/// A look for messages tells what the newest event is, whether or not its row can be read.
fn has_events<P>(store: &dyn Calls<P>, session_id: &str) -> Result<bool, Ended> {
    let request = ReadRequest::FindMessages {
        session_id: session_id.to_owned(),
        below: None,
    };
    match store.read(request)? {
        Answer::OfJob(JobAnswer::Messages(found)) => Ok(found.newest.is_some()),
        answer => Err(Ended::unexpected(&answer)),
    }
}

fn has_labels<P>(store: &dyn Calls<P>, session_id: &str) -> Result<bool, Ended> {
    let request = ReadRequest::GetLabels {
        session_id: session_id.to_owned(),
    };
    match store.read(request)? {
        Answer::Json(labels) => Ok(labels != "{}"),
        answer => Err(Ended::unexpected(&answer)),
    }
}
