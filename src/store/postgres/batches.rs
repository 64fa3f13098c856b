//! Which writes are committed together, and when. The store's thread runs [`Batches::commit_all`] for as long as it lives.
//!
//! One shared batch at a time is the quickest where the server is near: two at once are half as large and cost as much
//! each. Where it is far, so many are under way that the server always has one to work on ([`super::pipeline`]). A session's
//! own writes always wait for each other.
//!
//! Sessions that are in the way of others ([`super::queue`]) have batches of their own beside the shared ones. The rows of
//! theirs that are locked are waited for by the server, for a short time that it is told: so it is known that it is a lock
//! which is in the way, and not a slow server, which must not be sent everything again.

mod under_way;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use under_way::UnderWay;

use super::follow::Following;
use super::late_writes::LateWrites;
use super::progress::{Attempt, Outcome};
use super::queue::{Batch, Concurrency, SessionQueues, Turn, WaitingSingle, Work};
use super::single::Singles;
use super::trim::Trimming;
use super::write::Writer;
use crate::store::Deliver;
use crate::store::commit::COMMITTING;
use crate::store::error::{ErrorKind, catching_async};
use crate::store::single::SingleRequest;
use crate::store::statistics::{BatchTally, Statistics};
use crate::store::time::now;
use crate::store::write::{SessionWrite, Write, WriteResult};

/// How long a batch waits for a locked row. Longer than any transaction of ours needs, since these are worth waiting for.
const LOCK_LIMIT: Duration = Duration::from_millis(100);

/// The same for sessions that are known or suspected to have a lock on them, which has lasted longer than the usual
/// transaction already.
const SHORT_LOCK_LIMIT: Duration = Duration::from_millis(20);

/// The writes that wait, and what commits them.
pub(super) struct Batches<T> {
    writer: Writer,
    singles: Rc<Singles>,
    late_writes: Rc<LateWrites>,
    trimming: Rc<Trimming>,
    /// They are told what was stored.
    following: Rc<Following<T>>,
    statistics: Arc<Statistics>,
    queues: RefCell<SessionQueues<T>>,
    closing: Cell<bool>,
    wake: Notify,
}

impl<T> Batches<T> {
    pub(super) fn new(
        writer: Writer,
        singles: Rc<Singles>,
        late_writes: Rc<LateWrites>,
        trimming: Rc<Trimming>,
        following: Rc<Following<T>>,
        statistics: Arc<Statistics>,
    ) -> Self {
        Self {
            writer,
            singles,
            late_writes,
            trimming,
            following,
            statistics,
            queues: RefCell::new(SessionQueues::new()),
            closing: Cell::new(false),
            wake: Notify::new(),
        }
    }

    /// Puts a write at the end of its session's queue.
    pub(super) fn push(&self, request: SessionWrite, ticket: T) {
        self.queues.borrow_mut().push(request, ticket);
        self.wake.notify_one();
    }

    /// Whether a write of this session waits, or is being committed.
    pub(super) fn is_written(&self, session_id: &str) -> bool {
        self.queues.borrow().has(session_id)
    }

    /// Lets [`Self::commit_all`] end once nothing waits.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.wake.notify_one();
    }

    /// Commits what is pushed, on at most `at_once` connections, until it is closed and nothing waits.
    pub(super) async fn commit_all(&self, deliver: &Deliver<T>, at_once: usize) {
        let mut running = FuturesUnordered::new();
        let mut under_way = UnderWay::new(at_once, self.writer.pipelines());
        loop {
            let mut has_begun = false;
            for turn in under_way.order() {
                if under_way.may_begin(turn)
                    && let Some(work) = self.queues.borrow_mut().take(turn, self.writer.deadline())
                {
                    under_way.begin(turn);
                    running.push(self.work(turn, work, deliver));
                    has_begun = true;
                }
            }
            // Lets what has begun take its connection, before the next one begins.
            let has_ended = running.next().now_or_never().flatten();
            if let Some((turn, took)) = has_ended {
                under_way.end(turn, took);
            }
            if has_begun || has_ended.is_some() {
                continue;
            }
            let (knows_contested, locked) = {
                let queues = self.queues.borrow();
                if self.closing.get() && queues.is_empty() {
                    return;
                }
                under_way.beside_waits = queues.waits_beside(under_way.next_locked);
                (queues.knows_contested(), queues.next_locked())
            };
            let next_locked = locked.map(|due| due.max(under_way.next_locked));
            let next_shared = under_way.next_shared();
            let may_begin_shared = under_way.may_begin(Turn::Shared);
            // While no shared batch may begin, what is pushed need not be looked at.
            tokio::select! {
                Some((turn, took)) = running.next() => under_way.end(turn, took),
                () = self.wake.notified(), if may_begin_shared || knows_contested => {}
                () = sleep_until(next_shared.unwrap_or_else(Instant::now)),
                    if next_shared.is_some() && !may_begin_shared => {}
                () = sleep_until(next_locked.unwrap_or_else(Instant::now)),
                    if next_locked.is_some() && under_way.may_try_locked() => {}
            }
        }
    }

    /// Commits and answers what a turn is for. Gives back whose turn it was, and how long it took.
    async fn work(&self, turn: Turn, work: Work<T>, deliver: &Deliver<T>) -> (Turn, Duration) {
        let began = Instant::now();
        let lock_limit = match turn {
            Turn::Shared | Turn::Contested | Turn::Single => LOCK_LIMIT,
            Turn::Suspects | Turn::Locked => SHORT_LOCK_LIMIT,
        };
        match work {
            Work::Batch(batch) => self.commit(batch, lock_limit, deliver).await,
            Work::Single(single) => self.commit_single(single, lock_limit, deliver).await,
        }
        (turn, began.elapsed())
    }

    async fn commit_single(&self, single: Box<WaitingSingle<T>>, lock_limit: Duration, deliver: &Deliver<T>) {
        let mut tally = BatchTally::begin(&self.statistics);
        let deadline = single.deadline.unwrap_or_else(|| self.writer.deadline());
        let deadline = self.singles.limited(deadline, single.called);
        let committing = async {
            let request = &single.request;
            if let Some(session_id) = request.adds_to() {
                self.late_writes.check(session_id, || request.doing())?;
            }
            Ok(self.singles.commit(request, deadline, lock_limit, &single.tried).await)
        };
        // Boxed, since it is large.
        let committed = Box::pin(catching_async(COMMITTING, committing)).await;
        match committed.unwrap_or_else(|error| Some(Err(error))) {
            None => self.queues.borrow_mut().put_back_single(single),
            Some(result) => {
                if result.is_ok() {
                    single
                        .request
                        .session_of_events()
                        .inspect(|id| self.following.written(id));
                    single
                        .request
                        .recounted_session()
                        .inspect(|id| self.trimming.changed(id));
                }
                tally.add(&*single.request, single.request.text_bytes(), &result);
                tally.end();
                let session = single.session;
                match &*single.request {
                    SingleRequest::DeleteSession { .. } if result.is_ok() => self.deleted(&session),
                    request => {
                        let removed = result.as_ref().ok().and_then(|answer| request.removed_session(answer));
                        removed.inspect(|_| self.forget(&session));
                    }
                }
                // Pruning stores nothing that a deletion could have missed.
                if may_be_stored(&result) && !matches!(*single.request, SingleRequest::Prune(_)) {
                    self.late_writes.note_written([Rc::clone(&session)]);
                }
                drop(single.request);
                deliver(vec![(single.ticket, result)]);
                self.queues.borrow_mut().end_single(session);
            }
        }
    }

    /// This driver has deleted a session.
    fn deleted(&self, session_id: &str) {
        self.forget(session_id);
        self.late_writes.remember(session_id, now());
        self.following.deleted(session_id);
    }

    /// Nothing is stored of a session.
    fn forget(&self, session_id: &str) {
        self.writer.forget(session_id);
        self.queues.borrow_mut().forget_contested(session_id);
    }

    async fn commit(&self, batch: Batch<T>, lock_limit: Duration, deliver: &Deliver<T>) {
        let Batch {
            sessions,
            writes,
            concurrency,
        } = batch;
        let mut tally = BatchTally::begin(&self.statistics);
        // Boxed, since it is large.
        let committed = Box::pin(catching_async(COMMITTING, async {
            let check = |write: &Write<'_>| self.late_writes.check(write.session_id(), || write.doing());
            let tries: Vec<Attempt<'_>> = writes.iter().map(|waiting| Attempt::of(waiting, check)).collect();
            Ok(match concurrency {
                Concurrency::Optimistic => self.writer.commit_together(&tries, lock_limit).await,
                Concurrency::Pessimistic => self.writer.commit_contested(&tries, lock_limit).await,
            })
        }));
        let (mut completions, mut left, mut written) = (Vec::with_capacity(writes.len()), Vec::new(), Vec::new());
        let contested = match committed.await {
            Ok(committed) => {
                for (mut waiting, outcome) in writes.into_iter().zip(committed.outcomes) {
                    match outcome {
                        Outcome::Settled(result) => {
                            tally.add(&*waiting.request, waiting.request.bytes(), &result);
                            self.trimming.settled(&waiting.request, &result);
                            if result.is_ok()
                                && let Some(session_id) = waiting.request.session_of_events()
                            {
                                self.following.written(session_id);
                            }
                            // Those of one session stand together.
                            if may_be_stored(&result)
                                && written.last().is_none_or(|last| !Rc::ptr_eq(last, &waiting.session))
                            {
                                written.push(waiting.session);
                            }
                            completions.push((waiting.ticket, result));
                        }
                        Outcome::Retry {
                            obstacle,
                            reassigned_to,
                        } => {
                            waiting.reassigned_to = reassigned_to;
                            left.push((waiting, obstacle));
                        }
                    }
                }
                committed.contested
            }
            Err(error) => {
                completions.extend(writes.into_iter().map(|waiting| (waiting.ticket, Err(error.clone()))));
                written.extend(sessions.iter().map(Rc::clone));
                HashSet::new()
            }
        };
        tally.end();
        self.late_writes.note_written(written);
        self.trimming.committed();
        deliver(completions);
        self.queues.borrow_mut().put_back(sessions, left, &contested);
    }
}

/// Whether something may be stored of a write that has come to this: also when it has failed, unless nothing could be stored.
fn may_be_stored(result: &WriteResult) -> bool {
    !matches!(result, Err(error) if error.kind == ErrorKind::InvalidArgument)
}
