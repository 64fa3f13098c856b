//! When the database is asked whether another process has written, and what its answer means. `following` has one.
//!
//! A poll (`PRAGMA data_version`) tells that somebody has written, this driver included. What this driver writes its
//! followers are told at once; they must not all be looked at again for it. So a change that this driver may have made
//! itself is taken for its own, since the writer asks the same of its own connection, which only others change: what others
//! wrote before this driver's write is told by that. What they wrote between that and the poll is found by one more look,
//! once a poll finds nothing new.

use std::time::{Duration, Instant};

/// How often the database is polled while anybody waits.
const EVERY: Duration = Duration::from_millis(20);

/// How often it is polled after another process has written, for [`BUSY_FOR`]: it may well go on.
const EVERY_BUSY: Duration = Duration::from_millis(5);
const BUSY_FOR: Duration = Duration::from_secs(1);

/// How much of its time the followers' thread may spend on looking at all sessions: one part in so many.
const SHARE: u32 = 10;

/// See the module's description.
pub(super) struct Polls {
    next: Instant,
    /// Until when other processes are expected to write.
    busy_until: Instant,
    /// Whether this driver may have made the next change that a poll tells of.
    own: bool,
    /// Whether others may have written beside what was taken for this driver's own.
    unsettled: bool,
}

impl Polls {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now,
            busy_until: now,
            own: false,
            unsettled: false,
        }
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// This driver writes, or has just written.
    pub(super) fn own_write(&mut self) {
        self.own = true;
    }

    /// The writer found that another process has written.
    pub(super) fn others_wrote(&mut self, now: Instant) {
        self.busy_until = now + BUSY_FOR;
        self.next = self.next.min(now + EVERY_BUSY);
    }

    /// A poll found a change, or none. True when all that is followed has to be looked at.
    pub(super) fn polled(&mut self, changed: bool, now: Instant) -> bool {
        let own = self.own;
        let was_unsettled = self.unsettled;
        if changed || was_unsettled {
            self.own = false;
        }
        self.unsettled = changed && own;
        let others = changed && !own;
        if others {
            self.busy_until = now + BUSY_FOR;
        }
        let every = if now < self.busy_until { EVERY_BUSY } else { EVERY };
        self.next = now + every;
        others || (was_unsettled && !changed)
    }

    /// A look at all that is followed took so long: the next poll comes the later.
    pub(super) fn looked_at_all(&mut self, duration: Duration, now: Instant) {
        self.next = self.next.max(now + duration * SHARE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_nobody_here_made_has_all_looked_at_and_polls_come_quicker_for_a_while() {
        let mut now = Instant::now();
        let mut polls = Polls::new(now);
        assert!(!polls.polled(false, now));
        assert_eq!(polls.due(), now + EVERY);
        assert!(polls.polled(true, now));
        assert_eq!(polls.due(), now + EVERY_BUSY);
        now += BUSY_FOR;
        assert!(!polls.polled(false, now));
        assert_eq!(polls.due(), now + EVERY);
    }

    #[test]
    fn own_writes_have_all_looked_at_once_when_they_pause() {
        let now = Instant::now();
        let mut polls = Polls::new(now);
        for _ in 0..10 {
            polls.own_write();
            assert!(!polls.polled(true, now));
            assert_eq!(polls.due(), now + EVERY);
        }
        assert!(polls.polled(false, now));
        assert!(!polls.polled(false, now));
        assert!(polls.polled(true, now));
    }

    #[test]
    fn a_poll_in_mid_write_is_settled_too() {
        let now = Instant::now();
        let mut polls = Polls::new(now);
        polls.own_write(); // It begins,
        assert!(!polls.polled(true, now)); // has committed, and another process too,
        polls.own_write(); // and ends.
        assert!(polls.polled(false, now));
    }
}
