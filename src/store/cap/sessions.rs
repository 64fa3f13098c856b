//! How many sessions a store has, as far as a driver remembers: whether it is time to count them and to remove the oldest.

use std::collections::HashMap;
use std::time::Instant;

use super::{Cap, Counting, Extent, PAUSE_AFTER_REFUSAL};

/// How many sessions are remembered that could not be removed.
const MOST_REFUSED: usize = 1_000;

/// See the module's description.
#[derive(Debug)]
pub struct SessionCap {
    cap: Cap,
    count: Count,
    /// How many records were written since. Most of them replace one, but some may be new.
    written: u64,
    refused: HashMap<Box<str>, Instant>,
}

/// How many sessions there were at the last look, less those that were removed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Nobody has looked yet.
    Unknown,
    /// So many.
    Exactly(u64),
    /// More than are removed at once.
    Many,
}

impl Count {
    /// So many are left that count. Of `over` sessions that were over the cap, which are `most_over` at most, so many refuse to be
    /// removed: if all do, those beyond are none of the oldest, and there is nothing to do.
    #[must_use]
    pub fn left(sessions: u64, over: u64, most_over: u64, refusing: u64) -> Self {
        if over >= most_over && refusing < over {
            Self::Many
        } else {
            Self::Exactly(sessions)
        }
    }
}

impl SessionCap {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(cap: Cap) -> Self {
        Self {
            cap,
            count: Count::Unknown,
            written: 0,
            refused: HashMap::new(),
        }
    }

    /// How many sessions are kept.
    #[must_use]
    pub fn cap(&self) -> Cap {
        self.cap
    }

    /// A record was written.
    pub fn written(&mut self) {
        self.written += 1;
    }

    /// Whether sessions are to be counted, and the oldest removed.
    #[must_use]
    pub fn is_due(&self, extent: Extent) -> bool {
        let slack = match extent {
            Extent::Due => self.cap.slack(Counting::Anew),
            Extent::All => 0,
        };
        match self.count {
            Count::Unknown => self.written > 0,
            Count::Exactly(sessions) => sessions + self.written > self.cap.most() + slack,
            Count::Many => true,
        }
    }

    /// There are so many, after `written` records had been written that are counted now.
    pub fn counted(&mut self, count: Count, written: u64) {
        self.count = count;
        self.written = self.written.saturating_sub(written);
    }

    /// How many records were written since the last count.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.written
    }

    /// The session could not be removed: it is left alone for a while.
    pub fn refused(&mut self, session_id: &str) {
        if self.refused.len() >= MOST_REFUSED {
            self.refused.clear();
        }
        self.refused
            .insert(session_id.into(), Instant::now() + PAUSE_AFTER_REFUSAL);
    }

    /// Whether the session could not be removed a while ago. The next one is not removed in its place: it is none of the
    /// oldest.
    pub fn is_refused(&mut self, session_id: &str) -> bool {
        if self.refused.is_empty() {
            return false;
        }
        let now = Instant::now();
        self.refused.retain(|_, until| now < *until);
        self.refused.contains_key(session_id)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_counted_when_so_many_records_were_written_that_there_may_be_too_many() {
        let mut caps = SessionCap::new(Cap::new(160).unwrap());
        assert!(!caps.is_due(Extent::All));
        caps.written();
        assert!(caps.is_due(Extent::Due));
        caps.counted(Count::Exactly(100), 1);
        for _ in 0..60 {
            caps.written();
        }
        assert!(!caps.is_due(Extent::All));
        caps.written();
        assert!(caps.is_due(Extent::All) && !caps.is_due(Extent::Due));
        for _ in 0..10 {
            caps.written();
        }
        assert!(caps.is_due(Extent::Due));
        // One was written while the others were counted.
        caps.counted(Count::Exactly(160), 70);
        assert!(caps.is_due(Extent::All) && !caps.is_due(Extent::Due));
        caps.counted(Count::Many, 1);
        assert!(caps.is_due(Extent::Due));
    }

    #[test]
    fn where_all_that_are_over_the_cap_refuse_nothing_is_due() {
        let mut caps = SessionCap::new(Cap::new(10).unwrap());
        caps.counted(Count::left(10, 100, 100, 99), 0);
        assert!(caps.is_due(Extent::Due));
        caps.counted(Count::left(10, 100, 100, 100), 0);
        assert!(!caps.is_due(Extent::All));
        caps.written();
        assert!(caps.is_due(Extent::All));
    }

    #[test]
    fn a_session_that_refuses_is_left_alone() {
        let mut caps = SessionCap::new(Cap::new(1).unwrap());
        caps.refused("s");
        assert!(caps.is_refused("s") && !caps.is_refused("t"));
    }
}
