//! Which reader thread answers a read, and what waits for it. `shared` holds one [`Reads`] a reader.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::store::ReadRequest;
use crate::store::backlog::Admitted;

/// Whoever watches a store that is long in being made ready wants the rest of the numbers.
const MEASURED_WITHIN: Duration = Duration::from_secs(2);

/// One of the reader threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReaderId(usize);

impl ReaderId {
    /// Answers lookups, which so never wait for a page.
    const LOOKUPS: Self = Self(0);
    /// Answers what jobs ask for, which so never holds up a page.
    const JOBS: Self = Self(1);
    /// Checks, which may read for long.
    const CHECKS: Self = Self(2);
    /// How many others answer pages: reading a page takes about as long as parsing it, which one thread does for all.
    const PAGES: usize = 4;
    pub(super) const COUNT: usize = 3 + Self::PAGES;

    /// The reader of a request: always the same for the pages of one list, since it may have read the next one ahead.
    pub(super) fn of(request: &ReadRequest) -> Self {
        let list = match request {
            ReadRequest::GetSession { .. } | ReadRequest::GetLabels { .. } => return Self::LOOKUPS,
            ReadRequest::FindSessions(_)
            | ReadRequest::FindMessages { .. }
            | ReadRequest::TryCompaction(_)
            | ReadRequest::WouldPrune(_)
            | ReadRequest::Scan(_)
            | ReadRequest::OldestOfNewest { .. } => {
                return Self::JOBS;
            }
            // It counts rows for some milliseconds, for which no lookup should wait.
            ReadRequest::ListSessions(_) | ReadRequest::Measure => None,
            ReadRequest::Check(_) => return Self::CHECKS,
            ReadRequest::ListEvents(request) => Some(&request.list.session_id),
        };
        let mut hasher = DefaultHasher::new();
        list.hash(&mut hasher);
        // A remainder is less than what it is a remainder of.
        #[allow(clippy::cast_possible_truncation)]
        let page_reader = (hasher.finish() % Self::PAGES as u64) as usize;
        Self(3 + page_reader)
    }

    pub(super) fn position(self) -> usize {
        self.0
    }
}

/// The reads that wait for one reader thread.
pub(super) struct Reads<T> {
    pub(super) waiting: VecDeque<(Admitted<ReadRequest>, T)>,
    /// Whether the thread runs: it is started by its first read.
    pub(super) running: bool,
}

impl<T> Reads<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            running: false,
        }
    }

    /// When the first of those is overdue that wait for the database to be open no longer than that.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        let measure = self
            .waiting
            .iter()
            .find(|(request, _)| **request == ReadRequest::Measure);
        measure.map(|(request, _)| request.called() + MEASURED_WITHIN)
    }

    /// Takes that one, if it is overdue.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<(Admitted<ReadRequest>, T)> {
        if self.overdue_at()? > now {
            return None;
        }
        let place = self
            .waiting
            .iter()
            .position(|(request, _)| **request == ReadRequest::Measure)?;
        self.waiting.remove(place)
    }
}

/// What a reader thread does next.
pub(super) enum ReaderTask<T> {
    /// Answer this.
    Answer(Admitted<ReadRequest>, T),
    /// Say that the database cannot be asked.
    GiveUp(Admitted<ReadRequest>, T),
    /// Nobody has asked for anything as long as its patience lasted.
    Idle,
    /// Release everything and end.
    Close,
}
