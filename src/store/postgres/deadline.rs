//! Until when a call is tried. `database` keeps to it, and work of many statements moves it.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// See the module's description.
pub(super) struct Deadline {
    at: Cell<Option<Instant>>,
    time: Duration,
}

impl Deadline {
    /// A call that is tried until `at`, of those that have `time`.
    pub(super) fn new(at: Instant, time: Duration) -> Self {
        Self {
            at: Cell::new(Some(at)),
            time,
        }
    }

    /// A call whose time begins when somebody asks for its end.
    pub(super) fn unset(time: Duration) -> Self {
        Self {
            at: Cell::new(None),
            time,
        }
    }

    /// When the time is over.
    pub(super) fn at(&self) -> Instant {
        let at = self.at.get().unwrap_or_else(|| Instant::now() + self.time);
        self.at.set(Some(at));
        at
    }

    /// Begins the time anew: the server has answered a part of the work, so it is there and goes on with it.
    pub(super) fn renew(&self) {
        self.at.set(Some(Instant::now() + self.time));
    }
}
