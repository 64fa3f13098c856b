//! Caps: how many events a session keeps, and how many sessions a store. Both backends keep to them beside their writes:
//! this says when there is something to remove, and of which sessions; they count and remove.
//!
//! What is removed is never decided by what is remembered here. It says when to count, and the database counts in the
//! transaction that removes. Only a backend that knows that nobody else has written since need not count again.

mod events;
mod refusals;
mod sessions;

pub use events::{EventCap, Excess, Extent};
pub use refusals::Refusals;
pub use sessions::{Count, SessionCap};

use std::num::NonZeroU32;
use std::time::Duration;

use super::error::Quoted;

/// How long a session is left alone of which something could not be removed: somebody may grant the right, or drop the
/// trigger.
pub const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// How long nothing is written before all that is over a cap is removed, and not only what is due.
pub const QUIET: Duration = Duration::from_millis(50);

/// How many may be over a cap where counting is cheap; of small caps an eighth. One by one, each would cost a third of the
/// write that it makes room for; and more at once are not removed while JavaScript is at work on the answers to a batch.
const COUNTED_SLACK: u64 = 8;

/// What part of a cap may be over it where each look counts up to the cap: a look then costs each write little.
const UNCOUNTED_PART: u64 = 16;

/// How much is kept at most. Nothing is removed where there is no cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caps {
    /// How many events a session has at most. Those with the lowest indexes go first.
    pub events_per_session: Option<Cap>,
    /// How many sessions with a record there are at most. Those that were created first go first, whole.
    pub sessions: Option<Cap>,
}

/// How many of something are kept; one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap(NonZeroU32);

impl Cap {
    /// A cap of so many, unless that is none.
    #[must_use]
    pub fn new(most: u32) -> Option<Self> {
        NonZeroU32::new(most).map(Self)
    }

    /// How many are kept.
    #[must_use]
    pub fn most(self) -> u64 {
        self.0.get().into()
    }

    /// How many more there may be for a while.
    fn slack(self, counting: Counting) -> u64 {
        match counting {
            Counting::Kept => (self.most() / 8).min(COUNTED_SLACK),
            Counting::Anew => self.most() / UNCOUNTED_PART,
        }
    }
}

/// What an error says was being done to a session's events; the name of the database follows.
#[must_use]
pub fn removing_events(session_id: &str) -> String {
    format!("removing the oldest events of session {} from", Quoted(session_id))
}

/// What an error says was being done to a session; the name of the database follows.
#[must_use]
pub fn removing_session(session_id: &str) -> String {
    format!("removing session {}, one of the oldest, from", Quoted(session_id))
}

/// How it is known how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    /// They were counted once, and are counted on as they are written: nobody else writes.
    Kept,
    /// They are counted each time before something is removed.
    Anew,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn so_much_may_be_over_a_cap_that_it_is_worth_removing() {
        let slack = |most, counting| Cap::new(most).unwrap().slack(counting);
        assert_eq!([1, 20, 500].map(|most| slack(most, Counting::Kept)), [0, 2, 8]);
        assert_eq!([1, 500, 10_000].map(|most| slack(most, Counting::Anew)), [0, 31, 625]);
        assert_eq!(Cap::new(0), None);
    }
}
