//! How much may wait in a store: one bound for all of its calls, reads and writes together, wherever they wait.
//!
//! A call is admitted on the thread of its caller, before it is queued or sent on, and counts until it is dropped.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::error::{ErrorKind, StoreError};
use super::operation::Measured;
use super::statistics::Statistics;

/// How many bytes of calls may wait. Past it a call is refused at once, rather than the process run out of memory.
const MAX_BYTES: usize = 512 << 20;

/// What a call counts beside its text: about what its place in a queue and its promise take.
const CALL_BYTES: usize = 256;

/// The calls that wait or are being worked on.
#[derive(Debug)]
pub struct Backlog {
    statistics: Arc<Statistics>,
    max_bytes: usize,
}

/// A request that counts as waiting until it is dropped. That is when it is answered, and how long it took is counted.
#[derive(Debug)]
pub struct Admitted<R: Measured> {
    request: R,
    bytes: usize,
    called: Instant,
    backlog: Arc<Backlog>,
}

impl Backlog {
    /// An empty backlog.
    #[must_use]
    pub fn new(statistics: Arc<Statistics>) -> Arc<Self> {
        Self::with_max_bytes(statistics, MAX_BYTES)
    }

    fn with_max_bytes(statistics: Arc<Statistics>, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { statistics, max_bytes })
    }

    /// Admits a request with `text_bytes` of text, unless too much waits already. When nothing waits, it may be of any size.
    pub fn admit<R: Measured>(
        self: &Arc<Self>,
        request: R,
        text_bytes: usize,
        called: Instant,
    ) -> Result<Admitted<R>, StoreError> {
        let bytes = text_bytes + CALL_BYTES;
        let admit = |waiting: usize| (waiting == 0 || waiting + bytes <= self.max_bytes).then_some(waiting + bytes);
        let queue = &self.statistics.queue;
        match queue.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit) {
            Ok(_) => {
                queue.calls.fetch_add(1, Ordering::Relaxed);
                Ok(Admitted {
                    request,
                    bytes,
                    called,
                    backlog: Arc::clone(self),
                })
            }
            Err(_) => Err(StoreError::new(
                ErrorKind::Busy,
                format!(
                    "no more than {} MiB of calls may wait for the database: await earlier calls before the next",
                    self.max_bytes >> 20
                ),
            )),
        }
    }
}

impl<R: Measured> Admitted<R> {
    /// When it was called.
    #[must_use]
    pub fn called(&self) -> Instant {
        self.called
    }
}

impl<R: Measured> Deref for Admitted<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.request
    }
}

impl<R: Measured> Drop for Admitted<R> {
    fn drop(&mut self) {
        let statistics = &self.backlog.statistics;
        statistics.queue.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        statistics.queue.calls.fetch_sub(1, Ordering::Relaxed);
        statistics.answered(&self.request, self.called.elapsed());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::*;
    use crate::store::operation::Operation;

    #[derive(Debug, PartialEq)]
    struct Call(Option<Operation>);

    impl Measured for Call {
        fn operation(&self) -> Option<Operation> {
            self.0
        }

        fn session_id(&self) -> Option<Cow<'_, str>> {
            None
        }
    }

    const WRITE: Call = Call(Some(Operation::InsertEvent));
    const READ: Call = Call(Some(Operation::ListEvents));

    fn backlog(max_bytes: usize) -> Arc<Backlog> {
        Backlog::with_max_bytes(Statistics::new(), max_bytes)
    }

    fn admit(backlog: &Arc<Backlog>, call: Call, bytes: usize) -> Result<Admitted<Call>, StoreError> {
        backlog.admit(call, bytes, Instant::now())
    }

    #[test]
    fn a_full_backlog_refuses_and_admits_again_what_fits_once_a_call_is_dropped() {
        let backlog = backlog(2 * CALL_BYTES + 10);
        let first = admit(&backlog, WRITE, 5).unwrap();
        let second = admit(&backlog, WRITE, 5).unwrap();
        assert_eq!(admit(&backlog, WRITE, 0).unwrap_err().kind, ErrorKind::Busy);
        drop(first);
        assert_eq!(admit(&backlog, WRITE, 6).unwrap_err().kind, ErrorKind::Busy);
        assert_eq!(*admit(&backlog, READ, 5).unwrap(), READ);
        drop(second);
        let waiting = backlog.statistics.counters().queue;
        assert_eq!((waiting.calls, waiting.bytes), (0, 0));
    }

    #[test]
    fn one_call_alone_may_be_of_any_size() {
        let backlog = backlog(1);
        let large = admit(&backlog, WRITE, 5000).unwrap();
        admit(&backlog, WRITE, 0).unwrap_err();
        drop(large);
        admit(&backlog, WRITE, 5000).unwrap();
    }

    #[test]
    fn calls_without_text_are_bounded_too() {
        let backlog = backlog(MAX_BYTES);
        let admitted: Vec<_> = std::iter::from_fn(|| admit(&backlog, WRITE, 0).ok()).collect();
        assert_eq!(admitted.len(), MAX_BYTES / CALL_BYTES);
    }

    #[test]
    fn each_call_is_counted_by_how_long_it_took_but_for_steps_of_larger_work() {
        let backlog = backlog(MAX_BYTES);
        let called = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
        for call in [WRITE, WRITE, READ, Call(None)] {
            drop(backlog.admit(call, 0, called).unwrap());
        }
        let counters = backlog.statistics.counters();
        assert_eq!(counters.write_duration_ms.count, 2);
        assert!(counters.write_duration_ms.sum >= 6000.0);
        assert_eq!(counters.read_duration_ms.count, 1);
        assert!(counters.read_duration_ms.max >= 3000.0);
    }
}
