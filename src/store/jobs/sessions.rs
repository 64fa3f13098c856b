//! Goes from session to session of those that a job is to work on. `compact` and `prune` do.

use super::{Calls, Ended};
use crate::store::ReadRequest;
use crate::store::answer::{Answer, JobAnswer};
use crate::store::find::{FindSessions, SessionConditions};

/// Works on each session that meets the conditions, by its id, in the order of sessions.
pub(super) fn each_session<P>(
    store: &dyn Calls<P>,
    conditions: &SessionConditions,
    mut work: impl FnMut(String) -> Result<(), Ended>,
) -> Result<(), Ended> {
    let mut after = None;
    loop {
        let request = FindSessions {
            conditions: conditions.clone(),
            after,
        };
        let found = match store.read(ReadRequest::FindSessions(request))? {
            Answer::OfJob(JobAnswer::Sessions(found)) => found,
            answer => return Err(Ended::unexpected(&answer)),
        };
        found.ids.into_iter().try_for_each(&mut work)?;
        if found.next.is_none() {
            return Ok(());
        }
        after = found.next;
    }
}
