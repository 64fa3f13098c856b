//! Deleted sessions: how long what is kept of one, its tombstone, lasts, and what a write to it is answered. Both backends use
//! it.
//!
//! A tombstone is a row of `deleted_sessions`: the session's id, and when it was deleted by the clock of the machine that did. Who
//! writes to the session later, because it does not know yet, finds it there.

use std::time::Duration;

use super::error::{ErrorKind, StoreError};
use super::remembered::RememberedSessions;
use super::time::ago;

/// How long the id of a deleted session cannot be used.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many old tombstones a deletion removes at most, so that none takes long for what others have left.
pub const MOST_REMOVED: i64 = 1000;

/// Tombstones count if they are younger than this.
#[must_use]
pub fn oldest() -> i64 {
    ago(KEPT_FOR)
}

/// Refuses to go on `doing` something to a session that was deleted.
#[must_use]
pub fn refusal(doing: &str) -> StoreError {
    StoreError::new(
        ErrorKind::NotFound,
        format!(
            "{doing} failed: the session was deleted, and its id cannot be used for 30 days after that; nothing was stored, use \
             another id"
        ),
    )
}

/// The deleted sessions that a driver knows of, and when each was deleted.
#[derive(Debug, Default)]
pub struct DeletedSessions(RememberedSessions<i64>);

impl DeletedSessions {
    /// Remembers that a session was deleted.
    pub fn note(&mut self, session_id: &str, deleted_at: i64) {
        self.0.note(session_id, deleted_at);
    }

    /// Whether the session was deleted, and its id cannot be used yet.
    pub fn has(&mut self, session_id: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(deleted_at) = self.0.get(session_id) else {
            return false;
        };
        let counts = *deleted_at > oldest();
        if !counts {
            self.0.forget(session_id);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_session_counts_as_such_for_thirty_days() {
        let mut deleted = DeletedSessions::default();
        let day = Duration::from_secs(24 * 60 * 60);
        deleted.note("young", ago(day * 29));
        deleted.note("old", ago(day * 31));
        assert_eq!(
            ["young", "old", "other"].map(|id| deleted.has(id)),
            [true, false, false]
        );
    }
}
