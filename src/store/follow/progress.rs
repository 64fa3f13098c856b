//! How far one follower has come: the index that it has passed, and the gaps that it has seen. Pure rules, without a
//! database and without a clock; [`super::Followers`] applies them.
//!
//! Indexes are given by the writers, so an event may become visible after one with a higher index: another process chose
//! the lower index earlier and commits it later. A follower waits a little for what is missing, then passes the gap,
//! since gaps are legal: events are deleted, and writers that were killed leave some. It keeps looking into the gaps that
//! it has passed, and an event that arrives there is yielded late.

use std::time::{Duration, Instant};

use super::events::Row;
use super::moment::Moment;
use crate::store::model::MAX_SAFE_INTEGER;

/// How long a follower waits for the events that are missing before one that it sees. Whoever has chosen an index commits
/// it within a few fsyncs or round trips.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// An event that was created so long ago, in milliseconds, has nothing under way before it: old holes are not waited for.
const SETTLED_AFTER: i64 = 60_000;

/// The position of a follower that is given all events: before every index that a row may have.
pub const BEFORE_ALL: i64 = -MAX_SAFE_INTEGER - 1;

/// How many passed gaps a follower keeps looking into: the last ones.
const MAX_GAPS: usize = 1_000;

/// How often passed gaps are looked into: each time a tenth of the youngest one's age has gone by, within these bounds.
const LOOK_AT_LEAST: Duration = Duration::from_millis(100);
const LOOK_AT_MOST: Duration = Duration::from_secs(10);

/// The indexes between two, both excluded, in which no event has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) after: i64,
    pub(super) before: i64,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Progress {
    /// All events up to this index were given, but for what is missing in `passed`.
    position: i64,
    /// What has been seen beyond the position.
    beyond: Option<Beyond>,
    /// None for nearly all followers.
    passed: Option<Box<Passed>>,
}

/// Events that have been seen beyond a gap.
#[derive(Debug, Clone, Copy)]
struct Beyond {
    /// The first one after the gap that the follower is at.
    first: i64,
    /// The last one that was seen with it. Gaps before that one have been seen for as long.
    last: i64,
    seen: Instant,
}

#[derive(Debug)]
struct Passed {
    /// In ascending order.
    gaps: Vec<Gap>,
    /// When the last gap was passed.
    youngest: Instant,
    next_look: Instant,
}

impl Progress {
    pub(super) fn after(position: i64) -> Self {
        Self {
            position,
            beyond: None,
            passed: None,
        }
    }

    pub(super) fn position(&self) -> i64 {
        self.position
    }

    /// Takes what was found after the position, in order of the index, as far as no gap has to be waited for, and says how
    /// many events that is. `patience` is how long a gap is waited for.
    pub(super) fn take(&mut self, found: &[Row], now: Moment, patience: Duration) -> usize {
        let last = found.last().map_or(self.position, |row| row.index);
        for (taken, row) in found.iter().enumerate() {
            if row.index > self.position + 1 {
                if self.has_to_wait(row, last, now, patience) {
                    return taken;
                }
                self.pass(row.index, now.instant);
            }
            self.position = row.index;
        }
        if self.beyond.is_some_and(|beyond| beyond.last <= self.position) {
            self.beyond = None;
        }
        found.len()
    }

    /// The gap that is waited for now, and until when.
    pub(super) fn waits_at(&self, now: Instant, patience: Duration) -> Option<(Gap, Instant)> {
        let beyond = self.beyond.filter(|beyond| beyond.first > self.position + 1)?;
        let end = beyond.seen + patience;
        let gap = Gap {
            after: self.position,
            before: beyond.first,
        };
        (now < end).then_some((gap, end))
    }

    /// The gaps that were passed.
    pub(super) fn passed(&self) -> &[Gap] {
        self.passed.as_ref().map_or(&[], |passed| &passed.gaps)
    }

    pub(super) fn has_passed(&self, gap: Gap) -> bool {
        let place = self.passed().binary_search_by_key(&gap.after, |passed| passed.after);
        place.is_ok_and(|place| self.passed()[place] == gap)
    }

    /// When the passed gaps are to be looked into again, if there are any and something may have come.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.passed.as_ref().map(|passed| passed.next_look)
    }

    /// The passed gaps are being looked into.
    pub(super) fn looks(&mut self, now: Instant) {
        if let Some(passed) = &mut self.passed {
            let age = now.saturating_duration_since(passed.youngest);
            passed.next_look = now + (age / 10).clamp(LOOK_AT_LEAST, LOOK_AT_MOST);
        }
    }

    /// The passed gaps must be looked into once more.
    pub(super) fn look_again(&mut self, now: Instant) {
        if let Some(passed) = &mut self.passed {
            passed.next_look = now;
        }
    }

    /// Takes what was found in a passed gap; what is left of it are the gaps between.
    pub(super) fn take_late(&mut self, gap: Gap, found: &[Row]) {
        let Some(passed) = &mut self.passed else { return };
        let Some(place) = passed.gaps.iter().position(|passed| *passed == gap) else {
            return;
        };
        let ends = found.iter().map(|row| row.index);
        let starts = std::iter::once(gap.after).chain(ends.clone());
        let left = starts.zip(ends.chain([gap.before]));
        let left = left.filter(|(after, before)| before - after > 1);
        passed
            .gaps
            .splice(place..=place, left.map(|(after, before)| Gap { after, before }));
        self.forget_oldest();
    }

    /// Whether what is missing before this event, the first that was found after the position, may still come soon.
    fn has_to_wait(&mut self, row: &Row, last: i64, now: Moment, patience: Duration) -> bool {
        let starts = self.position < 0 && row.index <= 1; // The SDK's first index is 1.
        if starts || now.millis.saturating_sub(row.created_at) > SETTLED_AFTER {
            return false;
        }
        let beyond = match self.beyond {
            Some(beyond) if row.index <= beyond.last => Beyond {
                first: row.index,
                ..beyond
            },
            _ => Beyond {
                first: row.index,
                last,
                seen: now.instant,
            },
        };
        self.beyond = Some(beyond);
        now.instant < beyond.seen + patience
    }

    /// Goes on without what is missing before index `before`.
    fn pass(&mut self, before: i64, now: Instant) {
        let passed = self.passed.get_or_insert_with(|| {
            Box::new(Passed {
                gaps: Vec::new(),
                youngest: now,
                next_look: now,
            })
        });
        passed.gaps.push(Gap {
            after: self.position,
            before,
        });
        passed.youngest = now;
        passed.next_look = passed.next_look.min(now + LOOK_AT_LEAST);
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        if let Some(passed) = &mut self.passed {
            let too_many = passed.gaps.len().saturating_sub(MAX_GAPS);
            passed.gaps.drain(..too_many);
            if passed.gaps.is_empty() {
                self.passed = None;
            }
        }
    }
}
