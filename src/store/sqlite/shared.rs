//! What the handle of a store and its threads share: the calls that wait, and where the store is in its life.

mod stay;

pub(super) use stay::Stay;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::following::Following;
use super::readers::{ReaderId, ReaderTask, Reads};
use crate::store::backlog::Backlog;
use crate::store::commit::{Batch, WriteQueue};
use crate::store::error::StoreError;
use crate::store::follow::FollowerId;
use crate::store::statistics::Statistics;
use crate::store::write::WriteRequest;
use crate::store::{Answer, Completion, Deliver, ReadRequest};

/// Where a store is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The writer opens the database, or is about to.
    Opening,
    /// The database is open.
    Open,
    /// The last try to open failed; the next call tries again.
    NotOpen,
    /// Everything is released.
    Closed,
}

struct State<T> {
    phase: Phase,
    /// Whether new calls are refused; what waits is still worked off.
    closing: bool,
    waiting_for_open: Vec<T>,
    waiting_for_close: Vec<T>,
    writes: WriteQueue<T>,
    readers: [Reads<T>; ReaderId::COUNT],
    /// Whether the followers' thread runs: it is started by the first follower that waits.
    follower_runs: bool,
    /// How much work is under way beside the threads.
    stays: usize,
    /// How much of that reads, so that the write-ahead log cannot begin anew.
    long_reads: usize,
}

impl<T> State<T> {
    fn reads(&mut self, reader: ReaderId) -> &mut Reads<T> {
        &mut self.readers[reader.position()]
    }

    fn reader_runs(&self) -> bool {
        self.readers.iter().any(|reads| reads.running)
    }

    fn drain_reads(&mut self) -> impl Iterator<Item = T> + '_ {
        let waiting = self.readers.iter_mut().flat_map(|reads| reads.waiting.drain(..));
        waiting.map(|(_, ticket)| ticket)
    }
}

/// See the module's description.
pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    writer_wakes: Condvar,
    readers_wake: [Condvar; ReaderId::COUNT],
    pub(super) following: Following<T>,
    backlog: Arc<Backlog>,
    pub(super) statistics: Arc<Statistics>,
    deliver: Deliver<T>,
}

/// What the writer thread does next.
pub(super) enum WriterTask<T> {
    /// Open the database.
    Open,
    /// Commit this.
    Commit(Batch<T>),
    /// Nothing has come for as long as its patience.
    Idle,
    /// Release everything and end.
    Close,
}

impl<T> Shared<T> {
    pub(super) fn new(deliver: Deliver<T>) -> Self {
        let statistics = Statistics::new();
        Self {
            state: Mutex::new(State {
                phase: Phase::Opening,
                closing: false,
                waiting_for_open: Vec::new(),
                waiting_for_close: Vec::new(),
                writes: WriteQueue::default(),
                readers: std::array::from_fn(|_| Reads::new()),
                follower_runs: false,
                stays: 0,
                long_reads: 0,
            }),
            writer_wakes: Condvar::new(),
            readers_wake: std::array::from_fn(|_| Condvar::new()),
            following: Following::new(),
            backlog: Backlog::new(Arc::clone(&statistics)),
            statistics,
            deliver,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No code under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn deliver(&self, completion: Completion<T>) {
        (self.deliver)(vec![completion]);
    }

    pub(super) fn deliver_all(&self, completions: Vec<Completion<T>>) {
        (self.deliver)(completions);
    }

    /// Locks the state for new calls, unless the store is closed; a store that is not open is opened again.
    fn accept(&self) -> Result<MutexGuard<'_, State<T>>, StoreError> {
        let mut state = self.state();
        if state.closing {
            return Err(StoreError::closed());
        }
        if state.phase == Phase::NotOpen {
            state.phase = Phase::Opening;
            self.writer_wakes.notify_one();
        }
        Ok(state)
    }

    pub(super) fn push_ready(&self, ticket: T) {
        match self.accept() {
            Ok(mut state) if state.phase != Phase::Open => state.waiting_for_open.push(ticket),
            Ok(state) => {
                drop(state);
                self.deliver((ticket, Ok(Answer::Done)));
            }
            Err(closed) => self.deliver((ticket, Err(closed))),
        }
    }

    pub(super) fn push_writes(&self, writes: Vec<(WriteRequest, T)>) {
        let mut state = match self.accept() {
            Ok(state) => state,
            Err(closed) => return self.deliver_all(failed(&closed, writes)),
        };
        let (called, mut refused) = (Instant::now(), Vec::new());
        for (request, ticket) in writes {
            match request.admit(&self.backlog, called) {
                Ok(request) => state.writes.push(request, ticket),
                Err(refusal) => refused.push((ticket, Err(refusal))),
            }
        }
        drop(state);
        self.writer_wakes.notify_one();
        self.deliver_all(refused);
    }

    /// Answers writes that can never be done; those after `close` hear of that first.
    pub(super) fn refuse(&self, error: &StoreError, writes: Vec<(WriteRequest, T)>) {
        let closed = self.accept().err();
        self.deliver_all(failed(closed.as_ref().unwrap_or(error), writes));
    }

    /// Queues a read; true when the thread that answers it has to be started.
    pub(super) fn push_read(&self, request: ReadRequest, ticket: T) -> bool {
        let reader = ReaderId::of(&request);
        let bytes = request.text_bytes();
        let admitted = self
            .accept()
            .and_then(|state| Ok((state, self.backlog.admit(request, bytes, Instant::now())?)));
        let (mut state, request) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.deliver((ticket, Err(refusal)));
                return false;
            }
        };
        let reads = state.reads(reader);
        reads.waiting.push_back((request, ticket));
        let start = !std::mem::replace(&mut reads.running, true);
        drop(state);
        self.readers_wake[reader.position()].notify_one();
        start
    }

    /// A reader could not be started: what waits for it fails.
    pub(super) fn reader_not_started(&self, reader: ReaderId, error: &StoreError) {
        let mut state = self.state();
        let reads = state.reads(reader);
        reads.running = false;
        let failed = reads
            .waiting
            .drain(..)
            .map(|(_, ticket)| (ticket, Err(error.clone())))
            .collect();
        drop(state);
        self.writer_wakes.notify_one();
        self.deliver_all(failed);
    }

    /// A follower waits for events; true when the thread that answers it has to be started.
    pub(super) fn push_next_events(&self, follower: FollowerId, ticket: T) -> bool {
        let mut state = self.state();
        if state.phase == Phase::NotOpen && !state.closing {
            state.phase = Phase::Opening;
            self.writer_wakes.notify_one();
        }
        let answered = self.following.next(follower, ticket);
        let start = answered.is_none() && !std::mem::replace(&mut state.follower_runs, true);
        drop(state);
        self.deliver_all(Vec::from_iter(answered));
        start
    }

    /// The followers' thread could not be started: those that wait fail.
    pub(super) fn follower_not_started(&self, error: &StoreError) {
        self.deliver_all(self.following.all_failed(error));
        self.follower_ended();
    }

    /// The followers' thread has released its connection.
    pub(super) fn follower_ended(&self) {
        self.state().follower_runs = false;
        self.writer_wakes.notify_one();
    }

    /// Whether work beside the threads keeps the write-ahead log from beginning anew.
    pub(super) fn is_read_for_long(&self) -> bool {
        self.state().long_reads > 0
    }

    /// Begins to close; the ticket is answered when everything is released.
    pub(super) fn push_close(&self, ticket: Option<T>) {
        let mut state = self.state();
        if state.phase == Phase::Closed {
            drop(state);
            if let Some(ticket) = ticket {
                self.deliver((ticket, Ok(Answer::Done)));
            }
            return;
        }
        state.waiting_for_close.extend(ticket);
        state.closing = true;
        drop(state);
        self.writer_wakes.notify_one();
        self.wake_readers();
    }

    /// Waits for the writer's next task. It is idle once nothing has come for as long as its `patience`.
    pub(super) fn next_task(&self, patience: Option<Duration>) -> WriterTask<T> {
        let end = patience.map(|patience| Instant::now() + patience);
        let mut state = self.state();
        loop {
            match state.phase {
                Phase::Opening => return WriterTask::Open,
                Phase::Open => {
                    if let Some(batch) = state.writes.take_batch() {
                        return WriterTask::Commit(batch);
                    }
                }
                Phase::NotOpen => {}
                Phase::Closed => return WriterTask::Close,
            }
            if state.closing {
                self.following.finish();
                if !state.reader_runs() && !state.follower_runs && state.stays == 0 {
                    return WriterTask::Close;
                }
            }
            state = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self.writer_wakes.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return WriterTask::Idle,
                Some(left) => {
                    let waited = self.writer_wakes.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The database is open: what waited for it may go on.
    pub(super) fn opened(&self) {
        let mut state = self.state();
        state.phase = Phase::Open;
        let waiting = std::mem::take(&mut state.waiting_for_open);
        drop(state);
        self.wake_readers();
        self.following.opened();
        self.deliver_all(done(waiting));
    }

    /// The database could not be opened: every call that waits for it fails, and the next one tries again.
    pub(super) fn open_failed(&self, error: &StoreError) {
        let mut state = self.state();
        state.phase = Phase::NotOpen;
        let mut failed = std::mem::take(&mut state.waiting_for_open);
        failed.extend(state.writes.drain());
        failed.extend(state.drain_reads());
        let following = self.following.all_failed(error);
        drop(state);
        self.wake_readers();
        self.deliver_all(following);
        self.deliver_all(failed.into_iter().map(|ticket| (ticket, Err(error.clone()))).collect());
    }

    /// The writer has released everything, after the readers.
    pub(super) fn closed(&self) {
        let mut state = self.state();
        state.phase = Phase::Closed;
        let waiting = std::mem::take(&mut state.waiting_for_close);
        drop(state);
        self.deliver_all(done(waiting));
    }

    /// Waits for a reader's next task. It is idle once nothing has come for as long as its `patience`.
    pub(super) fn next_read(&self, reader: ReaderId, patience: Option<Duration>) -> ReaderTask<T> {
        let wake = &self.readers_wake[reader.position()];
        let end = patience.map(|patience| Instant::now() + patience);
        let mut state = self.state();
        loop {
            if state.phase == Phase::Open
                && let Some((request, ticket)) = state.reads(reader).waiting.pop_front()
            {
                return ReaderTask::Answer(request, ticket);
            }
            if state.closing && state.phase != Phase::Opening {
                return ReaderTask::Close;
            }
            let now = Instant::now();
            if let Some((request, ticket)) = state.reads(reader).take_overdue(now) {
                return ReaderTask::GiveUp(request, ticket);
            }
            if end.is_some_and(|end| end <= now) {
                return ReaderTask::Idle;
            }
            let overdue_at = state.reads(reader).overdue_at();
            state = match [end, overdue_at].into_iter().flatten().min() {
                None => wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let waited = wake.wait_timeout(state, at.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn wake_readers(&self) {
        for wake in &self.readers_wake {
            wake.notify_one();
        }
    }

    /// A reader has released its connection.
    pub(super) fn reader_ended(&self, reader: ReaderId) {
        self.state().reads(reader).running = false;
        self.writer_wakes.notify_one();
    }
}

fn failed<T>(error: &StoreError, writes: Vec<(WriteRequest, T)>) -> Vec<Completion<T>> {
    let tickets = writes.into_iter().map(|(_, ticket)| ticket);
    tickets.map(|ticket| (ticket, Err(error.clone()))).collect()
}

fn done<T>(tickets: Vec<T>) -> Vec<Completion<T>> {
    tickets.into_iter().map(|ticket| (ticket, Ok(Answer::Done))).collect()
}
