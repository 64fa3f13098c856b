//! What the target has of the sessions that are copied: read ahead, for many sessions at once.

use std::collections::{HashMap, VecDeque};

use super::store::{EventSize, events};
use crate::store::jobs::{Calls, Ended};
use crate::store::scan::{Run, Start};

/// Events of the target that were not asked for yet, by their session.
#[derive(Debug, Default)]
pub(super) struct Target {
    read: HashMap<String, Read>,
    size: EventSize,
}

#[derive(Debug)]
struct Read {
    events: VecDeque<String>,
    /// The index of the last event that was read.
    last: i64,
    is_more: bool,
}

impl Target {
    /// The next event that the target has of a session, whose first one comes after this index. `others` are the sessions whose
    /// events are asked for next.
    pub(super) fn next<'a, P>(
        &mut self,
        store: &dyn Calls<P>,
        (session_id, after): (&str, i64),
        others: impl Iterator<Item = (&'a str, i64)>,
    ) -> Result<Option<String>, Ended> {
        let after = match self.read.get_mut(session_id) {
            None => after,
            Some(read) => match read.events.pop_front() {
                None if read.is_more => read.last,
                event => return Ok(event),
            },
        };
        let unknown = others.filter(|(id, _)| !self.read.contains_key(*id));
        let mut starts = vec![Start::new(session_id, after)];
        starts.extend(unknown.map(|(session_id, after)| Start::new(session_id, after)));
        let runs = events(store, &starts, &mut self.size)?;
        for (start, Run { events, last, is_more }) in starts.into_iter().zip(runs) {
            let read = Read {
                events: events.into(),
                last: last.unwrap_or(start.after),
                is_more,
            };
            self.read.insert(start.session_id, read);
        }
        Ok(self.read.get_mut(session_id).and_then(|read| read.events.pop_front()))
    }

    /// Forgets a session that is done with.
    pub(super) fn forget(&mut self, session_id: &str) {
        self.read.remove(session_id);
    }
}
