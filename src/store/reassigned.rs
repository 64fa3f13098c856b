//! The sessions in which a driver reassigned an event to another index, so that the driver's later events follow it. Both
//! backends use it.
//!
//! Two drivers write to one session; `b1@1, b5@5` are stored. The other driver inserts `a1@1`, which is reassigned to 6, and
//! then `a2@2`. That place is free, but there `a2` would be before `a1`: it goes after 6 as well ([`must_follow`]).
//!
//! The memory is bounded ([`super::remembered`]). For a session that is forgotten the rule lapses: an event that asks for a free
//! place before the reassigned one is put there, until another is reassigned.

use super::remembered::RememberedSessions;

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

/// For each session, the index that the driver last reassigned an event to. A driver has one, and notes it once that is
/// committed.
pub type ReassignedSessions = RememberedSessions<i64>;

#[cfg(test)]
mod tests {
    use super::*;

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
