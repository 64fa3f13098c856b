//! Which writes are committed together, and when. The store's thread runs [`Batches::commit_all`] for as long as it lives.
//!
//! One shared batch at a time is the quickest where the server is near: two at once are half as large and cost as much
//! each. Where it is far, so many are under way that the server always has one to work on ([`super::pipeline`]). A session's
//! own writes always wait for each other.
//!
//! Sessions that are in the way of others ([`super::queue`]) have batches of their own beside the shared ones. The rows of
//! theirs that are locked are waited for by the server, for a short time that it is told: so it is known that it is a lock
//! which is in the way, and not a slow server, which must not be sent everything again.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::follow::Following;
use super::late_writes::LateWrites;
use super::pipeline::{PATIENCE, Pipelines, Room};
use super::progress::{Attempt, Outcome};
use super::queue::{Batch, Concurrency, SessionQueues, Turn, WaitingSingle, Work};
use super::single::Singles;
use super::trim::Trimming;
use super::write::Writer;
use crate::store::Deliver;
use crate::store::commit::COMMITTING;
use crate::store::deleted::now;
use crate::store::error::{ErrorKind, catching_async};
use crate::store::single::SingleRequest;
use crate::store::statistics::{BatchTally, Statistics};
use crate::store::write::{SessionWrite, Write, WriteResult};

/// How long a batch waits for a locked row. Longer than any transaction of ours needs, since these are worth waiting for.
const LOCK_LIMIT: Duration = Duration::from_millis(100);

/// The same for sessions that are known or suspected to have a lock on them, which has lasted longer than the usual
/// transaction already.
const SHORT_LOCK_LIMIT: Duration = Duration::from_millis(20);

/// What part of the time tries of locked sessions may take on a single connection, which the others need.
const LOCKED_PART: u32 = 10;

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

/// What is under way.
struct UnderWay<'a> {
    /// How many connections there are.
    at_once: usize,
    shared: usize,
    /// The connections that the shared ones have.
    pipelines: &'a Pipelines,
    /// When the last one was begun.
    last_shared: Instant,
    /// Batches of sessions that are in the way of others.
    beside: usize,
    /// Whether others of these could begin.
    beside_waits: bool,
    /// Whether one of these is of a locked session. There is one at a time: where the server is far the shared batches need
    /// the other connections, and what is no longer locked takes little time.
    locked: bool,
    /// When a locked session may be tried again.
    next_locked: Instant,
    /// Whose turn it was last.
    last: Turn,
    /// Whose turn it was last beside the shared ones.
    last_beside: Turn,
}

impl<'a> UnderWay<'a> {
    fn new(at_once: usize, pipelines: &'a Pipelines) -> Self {
        let now = Instant::now();
        Self {
            at_once,
            shared: 0,
            pipelines,
            last_shared: now,
            beside: 0,
            beside_waits: false,
            locked: false,
            next_locked: now,
            last: Turn::Shared,
            last_beside: Turn::Single,
        }
    }

    /// Which turns may begin, in this order: each kind beside the shared ones has the first turn now and then, and on a
    /// single connection the shared ones have every second turn.
    fn order(&self) -> [Turn; 5] {
        let [first, second, third, fourth] = match self.last_beside {
            Turn::Suspects => [Turn::Locked, Turn::Contested, Turn::Single, Turn::Suspects],
            Turn::Locked => [Turn::Contested, Turn::Single, Turn::Suspects, Turn::Locked],
            Turn::Contested => [Turn::Single, Turn::Suspects, Turn::Locked, Turn::Contested],
            Turn::Single | Turn::Shared => [Turn::Suspects, Turn::Locked, Turn::Contested, Turn::Single],
        };
        if self.at_once == 1 && self.last != Turn::Shared {
            [Turn::Shared, first, second, third, fourth]
        } else {
            [first, second, third, fourth, Turn::Shared]
        }
    }

    /// How many shared batches have no connection at the moment: they wait for the tables, for a connection, or between tries.
    fn unconnected(&self) -> usize {
        self.shared.saturating_sub(self.pipelines.under_way())
    }

    fn has_room(&self) -> bool {
        self.pipelines.len() + self.unconnected() + self.beside < self.at_once
    }

    /// Whether there is a connection that the shared batches can spare.
    fn has_room_beside(&self) -> bool {
        self.has_room() && (self.beside + 1 < self.at_once || self.shared + self.beside == 0)
    }

    /// When another shared batch may begin, if not only once something has ended.
    fn next_shared(&self) -> Option<Instant> {
        // The single connection that they share is wanted for others.
        if self.at_once == 1 && self.shared > 0 && self.beside_waits {
            return None;
        }
        match self.pipelines.room() {
            Room::Here => Some(self.last_shared),
            _ if !self.has_room() => None,
            Room::Full(until) => Some(until),
            Room::Elsewhere if self.unconnected() == 0 => Some(self.last_shared),
            Room::Elsewhere => Some(self.last_shared + PATIENCE),
        }
    }

    fn may_try_locked(&self) -> bool {
        self.has_room_beside() && !self.locked
    }

    fn may_begin(&self, turn: Turn) -> bool {
        match turn {
            Turn::Shared => self.next_shared().is_some_and(|next| next <= Instant::now()),
            Turn::Suspects | Turn::Contested | Turn::Single => self.has_room_beside(),
            Turn::Locked => self.may_try_locked() && Instant::now() >= self.next_locked,
        }
    }

    fn begin(&mut self, turn: Turn) {
        if turn == Turn::Shared {
            self.shared += 1;
            self.last_shared = Instant::now();
        } else {
            self.beside += 1;
            self.locked |= turn == Turn::Locked;
        }
    }

    fn end(&mut self, turn: Turn, took: Duration) {
        self.last = turn;
        if turn == Turn::Shared {
            self.shared -= 1;
            return;
        }
        self.beside -= 1;
        self.last_beside = turn;
        if turn == Turn::Locked {
            self.locked = false;
            if self.at_once == 1 {
                self.next_locked = Instant::now() + took * (LOCKED_PART - 1);
            }
        }
    }
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
