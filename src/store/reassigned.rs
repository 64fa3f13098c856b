//! The sessions in which a driver reassigned an event to another index, so that the driver's later events follow it. Both
//! backends use it.
//!
//! Two drivers write to one session; `b1@1, b5@5` are stored. The other driver inserts `a1@1`, which is reassigned to 6, and
//! then `a2@2`. That place is free, but there `a2` would be before `a1`: it goes after 6 as well ([`must_follow`]).
//!
//! The memory is bounded. When it is full, the session that was written to the longest time ago is forgotten, and the rule
//! lapses for it: an event that asks for a free place before the reassigned one is put there, until another is reassigned.

use hashlink::LruCache;

/// How many sessions are remembered.
const MAX_SESSIONS: usize = 65_536;

/// How much their ids may take, since nothing else bounds how long an id is.
const MAX_ID_BYTES: usize = 16 << 20;

/// Whether a new event that asks for index `asked` goes to the index after the session's `highest`, though its place may
/// be free: `last` is the index that this driver last reassigned an event of the session to. A retry of an event that is stored
/// at `asked` is not new: it is replaced there.
///
/// What asks for more than `highest` comes last already. Only when somebody deleted the reassigned event is that less than
/// `last`.
#[must_use]
pub fn must_follow(asked: i64, last: Option<i64>, highest: Option<i64>) -> bool {
    last.is_some_and(|last| asked <= last) && highest.is_some_and(|highest| asked <= highest)
}

/// For each session, the index that the driver last reassigned an event to. A driver has one, and tells it once that is
/// committed.
#[derive(Debug)]
pub struct ReassignedSessions {
    last: LruCache<Box<str>, i64>,
    id_bytes: usize,
    max_sessions: usize,
    max_id_bytes: usize,
}

impl Default for ReassignedSessions {
    fn default() -> Self {
        Self::bounded(MAX_SESSIONS, MAX_ID_BYTES)
    }
}

impl ReassignedSessions {
    fn bounded(max_sessions: usize, max_id_bytes: usize) -> Self {
        Self {
            last: LruCache::new_unbounded(),
            id_bytes: 0,
            max_sessions,
            max_id_bytes,
        }
    }

    /// The index that an event of the session was last reassigned to.
    pub fn last(&mut self, session_id: &str) -> Option<i64> {
        self.last.get(session_id).copied()
    }

    /// Remembers that an event of the session was reassigned to `index`, and that this is committed.
    pub fn note(&mut self, session_id: &str, index: i64) {
        if self.last.insert(session_id.into(), index).is_none() {
            self.id_bytes += session_id.len();
        }
        while self.last.len() > self.max_sessions || self.id_bytes > self.max_id_bytes {
            let Some((forgotten, _)) = self.last.remove_lru() else {
                return;
            };
            self.id_bytes -= forgotten.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_move_of_a_session_counts() {
        let mut sessions = ReassignedSessions::default();
        assert_eq!(sessions.last("a"), None);
        sessions.note("a", 6);
        sessions.note("b", 3);
        sessions.note("a", 9);
        assert_eq!((sessions.last("a"), sessions.last("b")), (Some(9), Some(3)));
    }

    #[test]
    fn the_session_that_was_used_the_longest_time_ago_is_forgotten() {
        let mut sessions = ReassignedSessions::bounded(2, 1000);
        sessions.note("a", 1);
        sessions.note("b", 2);
        sessions.last("a");
        sessions.note("c", 3);
        assert_eq!(["a", "b", "c"].map(|id| sessions.last(id)), [Some(1), None, Some(3)]);
    }

    #[test]
    fn long_ids_do_not_take_more_than_their_share() {
        let mut sessions = ReassignedSessions::bounded(1000, 10);
        sessions.note("aaaa", 1);
        sessions.note("bbbb", 2);
        for index in 3..100 {
            sessions.note("bbbb", index);
        }
        assert_eq!((sessions.last("aaaa"), sessions.last("bbbb")), (Some(1), Some(99)));
        sessions.note("cccc", 3);
        assert_eq!((sessions.last("bbbb"), sessions.last("aaaa")), (Some(99), None));
        sessions.note("longer than all", 4);
        assert_eq!(sessions.last("longer than all"), None);
        assert_eq!((sessions.id_bytes, sessions.last.len()), (0, 0));
        sessions.note("bbbb", 5);
        assert_eq!(sessions.last("bbbb"), Some(5));
    }

    #[test]
    fn an_event_follows_a_reassigned_one_only_if_it_would_be_stored_before_it() {
        assert!(must_follow(2, Some(6), Some(6)));
        assert!(must_follow(6, Some(6), Some(9)));
        assert!(!must_follow(7, Some(6), Some(9)));
        assert!(!must_follow(2, None, Some(9)));
        // The reassigned event was deleted.
        assert!(!must_follow(2, Some(6), Some(1)));
        assert!(!must_follow(1, Some(6), None));
    }
}
