//! Which writes are committed together, and when. The store's thread runs [`Batches::commit_all`] for as long as it lives.
//!
//! One batch at a time is the quickest where the server is near: two at once are half as large and cost as much each. So
//! another one is begun beside it only when that takes long, because the server is far, the batch is large, or a lock is
//! held: the writes of other sessions do not wait for that. A session's own writes always do.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::write::Writer;
use crate::store::commit::{MAX_QUEUE_BYTES, Queued, WriteQueue, WriteRequest, commit_batch_async};
use crate::store::{Completion, Deliver};

/// How long a batch may take before another one is begun beside it.
const PATIENCE: Duration = Duration::from_millis(10);

/// The writes that wait.
pub(super) struct Batches<T> {
    state: RefCell<State<T>>,
    wake: Notify,
}

struct State<T> {
    queue: WriteQueue<T>,
    /// Sessions with a write in a batch that is being committed.
    busy: HashSet<String>,
    closing: bool,
}

impl<T> Batches<T> {
    pub(super) fn new() -> Self {
        Self {
            state: RefCell::new(State {
                queue: WriteQueue::new(MAX_QUEUE_BYTES),
                busy: HashSet::new(),
                closing: false,
            }),
            wake: Notify::new(),
        }
    }

    /// Puts a write at the end, or hands the ticket back when too much waits.
    pub(super) fn push(&self, request: WriteRequest, ticket: T) -> Result<(), Completion<T>> {
        self.state.borrow_mut().queue.push(request, ticket)?;
        self.wake.notify_one();
        Ok(())
    }

    /// Lets [`Self::commit_all`] end once nothing waits.
    pub(super) fn close(&self) {
        self.state.borrow_mut().closing = true;
        self.wake.notify_one();
    }

    /// Commits what is pushed, at most `at_once` batches at a time, until it is closed and nothing waits.
    pub(super) async fn commit_all(&self, writer: &Writer, deliver: &Deliver<T>, at_once: usize) {
        let mut running = FuturesUnordered::new();
        let mut next_start = Instant::now();
        loop {
            if running.len() < at_once && (running.is_empty() || Instant::now() >= next_start) {
                next_start = Instant::now() + PATIENCE;
                let batch = self.take();
                if !batch.is_empty() {
                    running.push(self.commit(writer, deliver, batch));
                }
            }
            if running.is_empty() && self.is_finished() {
                return;
            }
            // With a batch under way, the next one is begun when that ends or takes long.
            tokio::select! {
                Some(()) = running.next() => {}
                () = self.wake.notified(), if running.is_empty() => {}
                () = sleep_until(next_start), if !running.is_empty() && running.len() < at_once => {}
            }
        }
    }

    fn is_finished(&self) -> bool {
        let state = self.state.borrow();
        state.closing && state.queue.is_empty()
    }

    /// The next batch: all that waits, but for sessions that have a write under way.
    fn take(&self) -> Vec<Queued<T>> {
        let State { queue, busy, .. } = &mut *self.state.borrow_mut();
        let batch = queue.take_batch(|request| busy.contains(&*request.session_id()));
        busy.extend(batch.iter().map(|(request, _)| request.session_id().into_owned()));
        batch
    }

    async fn commit(&self, writer: &Writer, deliver: &Deliver<T>, batch: Vec<Queued<T>>) {
        let sessions: Vec<String> = batch
            .iter()
            .map(|(request, _)| request.session_id().into_owned())
            .collect();
        deliver(commit_batch_async(writer, batch).await);
        let mut state = self.state.borrow_mut();
        for session in &sessions {
            state.busy.remove(session);
        }
    }
}
