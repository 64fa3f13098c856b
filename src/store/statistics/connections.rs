//! The connections of a store, counted by what they are doing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Connections {
    /// Those that are being made.
    pub connecting: Gauge,
    /// Those that there are.
    pub open: Gauge,
    /// Those of them that somebody uses.
    pub busy: Gauge,
    /// Who waits for one that others use.
    pub waiting: Gauge,
    /// Since when one is missing that broke.
    broken: Mutex<Option<Instant>>,
}

/// The connections at one moment. `lib/stats.ts` says what each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct ConnectionCounts {
    pub connecting: usize,
    pub busy: usize,
    pub idle: usize,
    pub waiting: usize,
}

/// How many there are of something at the moment.
#[derive(Debug, Default)]
pub struct Gauge(Arc<AtomicUsize>);

/// One of those that a gauge counts, until it is dropped.
#[derive(Debug)]
pub struct Held(Arc<AtomicUsize>);

impl Gauge {
    /// Counts one more.
    #[must_use]
    pub fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(&self.0))
    }

    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    /// One broke, or went silent.
    pub fn broke(&self) {
        self.broken().get_or_insert_with(Instant::now);
    }

    /// One was made; so long after one broke, if it is the first since.
    pub(super) fn made(&self) -> Option<Duration> {
        self.broken().take().map(|since| since.elapsed())
    }

    fn broken(&self) -> MutexGuard<'_, Option<Instant>> {
        // No code under this lock can leave it half changed.
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are of each.
    #[must_use]
    pub fn counts(&self) -> ConnectionCounts {
        let busy = self.busy.now();
        ConnectionCounts {
            connecting: self.connecting.now(),
            busy,
            // One may have come to be used since.
            idle: self.open.now().saturating_sub(busy),
            waiting: self.waiting.now(),
        }
    }
}
