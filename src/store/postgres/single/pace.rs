//! How many rows a step of a job changes, which is learnt: each is to take long enough to be worth its round trips, and no longer.
//! The steps of `super` ask, and `trim`.

use std::cell::Cell;
use std::time::Duration;

use crate::store::postgres::error::Failure;

/// A step that took less may change more rows.
const SHORT: Duration = Duration::from_millis(20);

/// A step that took longer must change fewer.
const LONG: Duration = Duration::from_millis(50);

const FEWEST: i64 = 20;
const MOST: i64 = 5_000;

/// See the module's description.
#[derive(Debug)]
pub(in crate::store::postgres) struct Pace {
    rows: Cell<i64>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: Cell::new(500) }
    }
}

impl Pace {
    /// How many rows the next step changes at most.
    pub(in crate::store::postgres) fn rows(&self) -> i64 {
        self.rows.get()
    }

    /// A step has changed so many rows, and took so long.
    pub(in crate::store::postgres) fn note(&self, rows: i64, took: Duration) {
        let now = self.rows.get();
        if took > LONG {
            self.shrink();
        } else if took < SHORT && rows >= now {
            self.rows.set((now * 2).min(MOST));
        }
    }

    /// A step has failed: if it took longer than the server allows, the next one is to take less.
    pub(in crate::store::postgres) fn note_failure(&self, failure: &Failure) {
        if failure.is_too_slow() {
            self.shrink();
        }
    }

    fn shrink(&self) {
        self.rows.set((self.rows.get() / 2).max(FEWEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_short_and_full_and_shrink_when_they_are_long() {
        let pace = Pace::default();
        pace.note(3, Duration::ZERO);
        assert_eq!(pace.rows(), 500);
        for _ in 0..10 {
            pace.note(pace.rows(), Duration::from_millis(5));
        }
        assert_eq!(pace.rows(), MOST);
        pace.note(1, Duration::from_millis(30));
        assert_eq!(pace.rows(), MOST);
        for _ in 0..20 {
            pace.note(1, Duration::from_secs(1));
        }
        assert_eq!(pace.rows(), FEWEST);
    }
}
