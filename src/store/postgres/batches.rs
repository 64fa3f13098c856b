//! Which writes are committed together, and when. The store's thread runs [`Batches::commit_all`] for as long as it lives.
//!
//! Writes of all sessions share a batch, but for sessions that are in the way of others: somebody else writes to them as
//! well, or holds a lock on them ([`Writer::is_apart`]). Such a session has batches of its own, beside the shared ones.
//!
//! One shared batch at a time is the quickest where the server is near: two at once are half as large and cost as much
//! each. So another one is begun beside it only when it takes long, because the server is far or the batch is large. A
//! session's own writes always wait for each other.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::write::Writer;
use crate::store::Deliver;
use crate::store::backlog::Admitted;
use crate::store::commit::{Queued, WriteQueue, WriteRequest, commit_batch_async};

/// How long a shared batch may take before another one is begun beside it.
const PATIENCE: Duration = Duration::from_millis(10);

/// The writes that wait.
pub(super) struct Batches<T> {
    writer: Writer,
    state: RefCell<State<T>>,
    wake: Notify,
}

struct State<T> {
    queue: WriteQueue<T>,
    /// Sessions with a write in a batch that is being committed.
    busy: HashSet<String>,
    closing: bool,
}

/// Whose writes a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Those of all sessions that get along.
    Shared,
    /// Those of one session that does not.
    Apart,
}

impl<T> Batches<T> {
    pub(super) fn new(writer: Writer) -> Self {
        Self {
            writer,
            state: RefCell::new(State {
                queue: WriteQueue::default(),
                busy: HashSet::new(),
                closing: false,
            }),
            wake: Notify::new(),
        }
    }

    /// Puts a write at the end.
    pub(super) fn push(&self, request: Admitted<WriteRequest>, ticket: T) {
        self.state.borrow_mut().queue.push(request, ticket);
        self.wake.notify_one();
    }

    /// Lets [`Self::commit_all`] end once nothing waits.
    pub(super) fn close(&self) {
        self.state.borrow_mut().closing = true;
        self.wake.notify_one();
    }

    /// Commits what is pushed, at most `at_once` batches at a time, until it is closed and nothing waits.
    pub(super) async fn commit_all(&self, deliver: &Deliver<T>, at_once: usize) {
        let mut running = FuturesUnordered::new();
        let (mut shared, mut apart) = (0, 0);
        let mut next_shared = Instant::now();
        let mut last = Kind::Shared;
        loop {
            // On a single connection they take turns.
            let order = match last {
                Kind::Apart if at_once == 1 => [Kind::Shared, Kind::Apart],
                _ => [Kind::Apart, Kind::Shared],
            };
            for kind in order {
                match kind {
                    // Sessions with a lock on them may take all of their time, and must leave a connection to the others.
                    Kind::Apart => {
                        while running.len() < at_once
                            && (apart + 1 < at_once || running.is_empty())
                            && let Some(batch) = self.take_apart()
                        {
                            apart += 1;
                            running.push(self.commit(Kind::Apart, batch, deliver));
                        }
                    }
                    Kind::Shared if running.len() < at_once && (shared == 0 || Instant::now() >= next_shared) => {
                        next_shared = Instant::now() + PATIENCE;
                        let batch = self.take_shared();
                        if !batch.is_empty() {
                            shared += 1;
                            running.push(self.commit(Kind::Shared, batch, deliver));
                        }
                    }
                    Kind::Shared => {}
                }
            }
            if running.is_empty() && self.is_finished() {
                return;
            }
            // With a shared batch under way, what is pushed waits for its end, or for the end of patience.
            tokio::select! {
                Some(kind) = running.next() => {
                    last = kind;
                    match kind {
                        Kind::Shared => shared -= 1,
                        Kind::Apart => apart -= 1,
                    }
                }
                () = self.wake.notified(), if shared == 0 || self.writer.any_apart() => {}
                () = sleep_until(next_shared), if shared > 0 && running.len() < at_once => {}
            }
        }
    }

    fn is_finished(&self) -> bool {
        let state = self.state.borrow();
        state.closing && state.queue.is_empty()
    }

    /// All that waits, but for sessions that have a write under way and those that have batches of their own.
    fn take_shared(&self) -> Vec<Queued<T>> {
        let State { queue, busy, .. } = &mut *self.state.borrow_mut();
        let batch = queue.take_batch(|request| {
            let session_id = request.session_id();
            busy.contains(&*session_id) || self.writer.is_apart(&session_id)
        });
        busy.extend(batch.iter().map(session_of));
        batch
    }

    /// All that waits of the first session that has batches of its own, and no write under way.
    fn take_apart(&self) -> Option<Vec<Queued<T>>> {
        if !self.writer.any_apart() {
            return None;
        }
        let State { queue, busy, .. } = &mut *self.state.borrow_mut();
        let first = queue.find(|request| {
            let session_id = request.session_id();
            !busy.contains(&*session_id) && self.writer.is_apart(&session_id)
        })?;
        let session = first.session_id().into_owned();
        let batch = queue.take_batch(|request| *request.session_id() != *session);
        busy.insert(session);
        Some(batch)
    }

    async fn commit(&self, kind: Kind, batch: Vec<Queued<T>>, deliver: &Deliver<T>) -> Kind {
        let sessions: Vec<String> = batch.iter().map(session_of).collect();
        let (completions, left) = match kind {
            Kind::Shared => commit_batch_async(batch, async |writes| self.writer.commit_shared(writes).await).await,
            Kind::Apart => commit_batch_async(batch, async |writes| self.writer.commit_apart(writes).await).await,
        };
        deliver(completions);
        let mut state = self.state.borrow_mut();
        state.queue.put_back(left);
        for session in &sessions {
            state.busy.remove(session);
        }
        kind
    }
}

fn session_of<T>((request, _): &Queued<T>) -> String {
    request.session_id().into_owned()
}
