//! How much may wait in a store: one bound for all of its calls, reads and writes together, wherever they wait.
//!
//! A call is admitted on the thread of its caller, before it is queued or sent on, and counts until it is dropped.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::{ErrorKind, StoreError};

/// How many bytes of calls may wait. Past it a call is refused at once, rather than the process run out of memory.
const MAX_BYTES: usize = 512 << 20;

/// What a call counts beside its text: about what its place in a queue and its promise take.
const CALL_BYTES: usize = 256;

/// The calls that wait or are being worked on.
#[derive(Debug)]
pub struct Backlog {
    bytes: AtomicUsize,
    max_bytes: usize,
}

/// A request that counts as waiting until it is dropped.
#[derive(Debug)]
pub struct Admitted<R> {
    request: R,
    bytes: usize,
    backlog: Arc<Backlog>,
}

impl Backlog {
    /// An empty backlog.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::with_max_bytes(MAX_BYTES)
    }

    fn with_max_bytes(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            max_bytes,
        })
    }

    /// Admits a request with `text_bytes` of text, unless too much waits already. When nothing waits, it may be of any size.
    pub fn admit<R>(self: &Arc<Self>, request: R, text_bytes: usize) -> Result<Admitted<R>, StoreError> {
        let bytes = text_bytes + CALL_BYTES;
        let admit = |waiting: usize| (waiting == 0 || waiting + bytes <= self.max_bytes).then_some(waiting + bytes);
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit) {
            Ok(_) => Ok(Admitted {
                request,
                bytes,
                backlog: Arc::clone(self),
            }),
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

impl<R> Deref for Admitted<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.request
    }
}

impl<R> Drop for Admitted<R> {
    fn drop(&mut self) {
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_full_backlog_refuses_and_admits_again_what_fits_once_a_call_is_dropped() {
        let backlog = Backlog::with_max_bytes(2 * CALL_BYTES + 10);
        let first = backlog.admit("first", 5).unwrap();
        let second = backlog.admit("second", 5).unwrap();
        assert_eq!(backlog.admit("third", 0).unwrap_err().kind, ErrorKind::Busy);
        drop(first);
        assert_eq!(backlog.admit("third", 6).unwrap_err().kind, ErrorKind::Busy);
        assert_eq!(*backlog.admit("third", 5).unwrap(), "third");
        drop(second);
        assert_eq!(backlog.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_call_alone_may_be_of_any_size() {
        let backlog = Backlog::with_max_bytes(1);
        let large = backlog.admit((), 5000).unwrap();
        backlog.admit((), 0).unwrap_err();
        drop(large);
        backlog.admit((), 5000).unwrap();
    }

    #[test]
    fn calls_without_text_are_bounded_too() {
        let backlog = Backlog::new();
        let admitted: Vec<_> = std::iter::from_fn(|| backlog.admit((), 0).ok()).collect();
        assert_eq!(admitted.len(), MAX_BYTES / CALL_BYTES);
    }
}
