//! What a driver remembers of sessions, within bounds. `reassigned`, `deleted` and `cap` keep what they know so.
//!
//! When the memory is full, the session that was asked for or noted the longest time ago is forgotten.

use hashlink::LruCache;

/// How many sessions are remembered.
const MAX_SESSIONS: usize = 65_536;

/// How much their ids may take, since nothing else bounds how long an id is.
const MAX_ID_BYTES: usize = 16 << 20;

/// A value for each of some sessions.
#[derive(Debug)]
pub struct RememberedSessions<V> {
    values: LruCache<Box<str>, V>,
    id_bytes: usize,
    max_sessions: usize,
    max_id_bytes: usize,
}

impl<V> Default for RememberedSessions<V> {
    fn default() -> Self {
        Self::bounded(MAX_SESSIONS, MAX_ID_BYTES)
    }
}

impl<V> RememberedSessions<V> {
    fn bounded(max_sessions: usize, max_id_bytes: usize) -> Self {
        Self {
            values: LruCache::new_unbounded(),
            id_bytes: 0,
            max_sessions,
            max_id_bytes,
        }
    }

    /// What is remembered of the session.
    pub fn get(&mut self, session_id: &str) -> Option<&V> {
        self.values.get(session_id)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, session_id: &str) -> Option<&mut V> {
        self.values.get_mut(session_id)
    }

    /// Remembers this of the session, in place of what was.
    pub fn note(&mut self, session_id: &str, value: V) {
        if self.values.insert(session_id.into(), value).is_none() {
            self.id_bytes += session_id.len();
        }
        while self.values.len() > self.max_sessions || self.id_bytes > self.max_id_bytes {
            let Some((forgotten, _)) = self.values.remove_lru() else {
                return;
            };
            self.id_bytes -= forgotten.len();
        }
    }

    /// Forgets the session.
    pub fn forget(&mut self, session_id: &str) {
        if self.values.remove(session_id).is_some() {
            self.id_bytes -= session_id.len();
        }
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(sessions: &mut RememberedSessions<i64>, ids: [&str; 3]) -> [Option<i64>; 3] {
        ids.map(|id| sessions.get(id).copied())
    }

    #[test]
    fn the_last_note_of_a_session_counts() {
        let mut sessions = RememberedSessions::default();
        assert_eq!(sessions.get("a"), None);
        sessions.note("a", 6);
        sessions.note("b", 3);
        sessions.note("a", 9);
        assert_eq!(copied(&mut sessions, ["a", "b", "c"]), [Some(9), Some(3), None]);
        sessions.forget("a");
        sessions.forget("c");
        assert_eq!(copied(&mut sessions, ["a", "b", "c"]), [None, Some(3), None]);
        assert_eq!(sessions.id_bytes, 1);
    }

    #[test]
    fn the_session_that_was_used_the_longest_time_ago_is_forgotten() {
        let mut sessions = RememberedSessions::bounded(2, 1000);
        sessions.note("a", 1);
        sessions.note("b", 2);
        sessions.get("a");
        sessions.note("c", 3);
        assert_eq!(copied(&mut sessions, ["a", "b", "c"]), [Some(1), None, Some(3)]);
    }

    #[test]
    fn long_ids_do_not_take_more_than_their_share() {
        let mut sessions = RememberedSessions::bounded(1000, 10);
        sessions.note("aaaa", 1);
        sessions.note("bbbb", 2);
        for value in 3..100 {
            sessions.note("bbbb", value);
        }
        assert_eq!(copied(&mut sessions, ["aaaa", "bbbb", ""]), [Some(1), Some(99), None]);
        sessions.note("cccc", 3);
        assert_eq!(copied(&mut sessions, ["bbbb", "aaaa", ""]), [Some(99), None, None]);
        sessions.note("longer than all", 4);
        assert_eq!(sessions.get("longer than all"), None);
        assert_eq!((sessions.id_bytes, sessions.values.len()), (0, 0));
        sessions.note("bbbb", 5);
        assert_eq!(sessions.get("bbbb"), Some(&5));
    }
}
