//! What a store counts of its own work: calls and how long they take, batches, tries, connections; and whom it tells of it
//! ([`Notices`]). All threads of a store share one [`Statistics`].
//!
//! Each number is an atomic of its own, so that nobody who counts waits for anybody. [`Statistics::counters`] reads them
//! one after another: those of a moment in which work goes on need not fit each other to the last call.

mod connections;
mod database;
mod histogram;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use connections::{ConnectionCounts, Connections, Gauge, Held};
pub use database::{Counts, DatabaseSize, EXACT_ROWS};
pub use histogram::{Distribution, Histogram};

use super::answer::Answer;
use super::error::ErrorKind;
use super::message::Message;
use super::notices::{Notice, Notices, Warning, WarningCode};
use super::operation::Measured;
use super::time::now;
use super::write::WriteResult;

/// Durations are counted in nanoseconds, and told apart by microseconds.
const RESOLUTION: u64 = 1_000;

/// How many of these are a millisecond, the unit in which they are read.
const MILLISECOND: f64 = 1e6;

/// How long a call takes at least that is told to be slow, unless the caller says otherwise: longer than any healthy disk or
/// network lets one wait.
const SLOW: Duration = Duration::from_secs(1);

/// See the module's description.
#[derive(Debug)]
pub struct Statistics {
    /// Whom it tells.
    pub notices: Notices,
    /// The calls that wait or are being worked on.
    pub queue: Queue,
    /// The connections to the database.
    pub connections: Connections,
    since: i64,
    slow_nanoseconds: AtomicU64,
    write_durations: Histogram,
    read_durations: Histogram,
    batch_sizes: Histogram,
    batch_durations: Histogram,
    batch_bytes: AtomicU64,
    failed: AtomicU64,
    reassigned: AtomicU64,
    retries: AtomicU64,
    reconnects: AtomicU64,
    warnings: AtomicU64,
}

/// The calls that wait or are being worked on. [`super::backlog`] counts them.
#[derive(Debug, Default)]
pub struct Queue {
    /// How many.
    pub calls: AtomicUsize,
    /// How much memory they take, about.
    pub bytes: AtomicUsize,
}

/// All numbers at one moment. `lib/stats.ts` says what each is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Counters {
    pub since: i64,
    pub queue: Waiting,
    pub write_duration_ms: Distribution,
    pub read_duration_ms: Distribution,
    pub batches: Batches,
    pub failed: u64,
    pub reassigned: u64,
    pub retries: u64,
    pub reconnects: u64,
    pub warnings: u64,
    pub connections: ConnectionCounts,
}

/// What waits at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Waiting {
    pub calls: usize,
    pub bytes: usize,
}

/// The batches until one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Batches {
    pub writes: Distribution,
    pub duration_ms: Distribution,
    pub bytes: u64,
}

impl Statistics {
    /// Those of a store that is being opened.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let durations = || Histogram::with_resolution(RESOLUTION);
        Arc::new(Self {
            notices: Notices::default(),
            queue: Queue::default(),
            connections: Connections::default(),
            since: now(),
            slow_nanoseconds: AtomicU64::new(nanoseconds(SLOW)),
            write_durations: durations(),
            read_durations: durations(),
            batch_sizes: Histogram::with_resolution(1),
            batch_durations: durations(),
            batch_bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            reassigned: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            warnings: AtomicU64::new(0),
        })
    }

    /// Tells of calls that take at least so long.
    pub fn call_slow(&self, at_least: Duration) {
        self.slow_nanoseconds.store(nanoseconds(at_least), Ordering::Relaxed);
    }

    /// A call is about to be answered, after it was called so long ago.
    pub fn answered(&self, request: &impl Measured, took: Duration) {
        let Some(operation) = request.operation() else {
            return;
        };
        let durations = if operation.is_write() {
            &self.write_durations
        } else {
            &self.read_durations
        };
        durations.record(nanoseconds(took));
        if nanoseconds(took) >= self.slow_nanoseconds.load(Ordering::Relaxed) {
            self.notices.tell(|| Notice::Slow {
                operation,
                session_id: request.session_id().map(Into::into),
                duration_ms: milliseconds(took),
            });
        }
    }

    /// A call was answered with an error.
    pub fn failed(&self) {
        count(&self.failed);
    }

    /// Something that failed in passing, of this kind and for this reason, is tried again.
    pub fn retried(&self, kind: ErrorKind, reason: &Message) {
        count(&self.retries);
        self.notices.tell_at_once(|| Notice::Retry {
            code: kind.code(),
            reason: self.notices.text(reason),
        });
    }

    /// A connection was made.
    pub fn connected(&self) {
        if let Some(after) = self.connections.made() {
            count(&self.reconnects);
            self.notices.tell_at_once(|| Notice::Reconnected {
                duration_ms: milliseconds(after),
            });
        }
    }

    /// Warns whoever watches the store: a message says what is wrong, and what to do. It is said each time; whoever warns sees to
    /// it that this is not all the time.
    pub fn warn(&self, code: WarningCode, message: impl Into<Message>) {
        count(&self.warnings);
        self.notices.tell_at_once(|| {
            Notice::Warning(Warning {
                code,
                message: self.notices.text(&message.into()),
            })
        });
    }

    /// All numbers as they are now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            since: self.since,
            queue: Waiting {
                calls: self.queue.calls.load(Ordering::Relaxed),
                bytes: self.queue.bytes.load(Ordering::Relaxed),
            },
            write_duration_ms: self.write_durations.distribution(MILLISECOND),
            read_duration_ms: self.read_durations.distribution(MILLISECOND),
            batches: Batches {
                writes: self.batch_sizes.distribution(1.0),
                duration_ms: self.batch_durations.distribution(MILLISECOND),
                bytes: read(&self.batch_bytes),
            },
            failed: read(&self.failed),
            reassigned: read(&self.reassigned),
            retries: read(&self.retries),
            reconnects: read(&self.reconnects),
            warnings: read(&self.warnings),
            connections: self.connections.counts(),
        }
    }
}

/// What has come of a batch so far.
#[derive(Debug)]
pub struct BatchTally<'a> {
    statistics: &'a Statistics,
    began: Instant,
    writes: u64,
    bytes: u64,
}

impl<'a> BatchTally<'a> {
    /// A batch begins.
    #[must_use]
    pub fn begin(statistics: &'a Statistics) -> Self {
        Self {
            statistics,
            began: Instant::now(),
            writes: 0,
            bytes: 0,
        }
    }

    /// What came of one of its writes. Steps of larger work do not count.
    pub fn add(&mut self, request: &impl Measured, bytes: usize, result: &WriteResult) {
        let (Ok(answer), Some(_)) = (result, request.operation()) else {
            return;
        };
        self.writes += 1;
        self.bytes += bytes as u64;
        if let Answer::Reassigned(event_index) = answer {
            count(&self.statistics.reassigned);
            self.statistics.notices.tell(|| Notice::Reassigned {
                session_id: request.session_id().unwrap_or_default().into(),
                event_index: *event_index,
            });
        }
    }

    /// The batch is on disk, if anything of it was stored.
    pub fn end(self) {
        if self.writes == 0 {
            return;
        }
        let (statistics, took) = (self.statistics, self.began.elapsed());
        statistics.batch_sizes.record(self.writes);
        statistics.batch_durations.record(nanoseconds(took));
        statistics.batch_bytes.fetch_add(self.bytes, Ordering::Relaxed);
        statistics.notices.tell(|| Notice::Commit {
            writes: self.writes,
            bytes: self.bytes,
            duration_ms: milliseconds(took),
        });
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
