//! Connections on which several transactions are under way at once: each is sent before those in front of it are answered.
//! `database` runs the shared batches on them, and `batches` asks whether another one may begin.
//!
//! Whoever sends a transaction must send it as a whole, since the server does what it gets in this order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join;
use tokio::time::Instant;

use super::connection::Connection;
use super::depth::Depth;
use super::error::Failure;
use super::shared::SharedConnection;

/// How much longer than usual the first transaction of a connection may take before others are sent on another one. It
/// may wait for a lock, or be large.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// The pipelined connections of a database.
pub(super) struct Pipelines {
    /// Those with a transaction under way.
    all: RefCell<Vec<Rc<Pipeline>>>,
    /// How many there may be.
    most: usize,
    depth: RefCell<Depth>,
}

/// One connection.
#[derive(Default)]
struct Pipeline {
    connection: SharedConnection,
    /// When each transaction that is under way began, the oldest first.
    began: RefCell<VecDeque<Instant>>,
}

/// Where another transaction may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// On a connection that there is.
    Here,
    /// Nowhere, until one that is under way has ended, or takes so long that another connection is worth it.
    Full(Instant),
    /// On a connection of its own: there is none, or each is held up.
    Elsewhere,
}

/// A transaction that is under way, or about to be.
pub(super) struct Entry<'a> {
    pipelines: &'a Pipelines,
    pipeline: Rc<Pipeline>,
    began: Instant,
}

impl Pipelines {
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: RefCell::default(),
            most,
            depth: RefCell::new(Depth::new()),
        }
    }

    /// How many connections are in use.
    pub(super) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// How many transactions are under way on them.
    pub(super) fn under_way(&self) -> usize {
        self.all
            .borrow()
            .iter()
            .map(|pipeline| pipeline.began.borrow().len())
            .sum()
    }

    /// Where another transaction may go.
    pub(super) fn room(&self) -> Room {
        let depth = self.depth.borrow();
        let all = self.all.borrow();
        let Some((pipeline, until)) = going_on(&all, &depth) else {
            return Room::Elsewhere;
        };
        if pipeline.began.borrow().len() < depth.at_once() {
            Room::Here
        } else {
            Room::Full(until)
        }
    }

    /// Begins a transaction on a connection that is not held up, if there is one or may be.
    pub(super) fn enter(&self) -> Entry<'_> {
        let mut all = self.all.borrow_mut();
        let existing = match going_on(&all, &self.depth.borrow()) {
            None if all.len() >= self.most => all.iter().min_by_key(|pipeline| pipeline.began.borrow().len()),
            existing => existing.map(|(pipeline, _)| pipeline),
        };
        let pipeline = existing.map_or_else(Rc::default, Rc::clone);
        if pipeline.began.borrow().is_empty() {
            all.push(Rc::clone(&pipeline));
        }
        let began = Instant::now();
        pipeline.began.borrow_mut().push_back(began);
        Entry {
            pipelines: self,
            pipeline,
            began,
        }
    }
}

/// The latest connection that is not held up, and when it would be.
fn going_on<'a>(all: &'a [Rc<Pipeline>], depth: &Depth) -> Option<(&'a Rc<Pipeline>, Instant)> {
    let now = Instant::now();
    let usable = all.iter().rev().filter(|pipeline| pipeline.connection.is_usable());
    let mut with_limit = usable.map(|pipeline| {
        let oldest = pipeline.began.borrow().front().copied().unwrap_or(now);
        (pipeline, oldest + depth.usual_time() + PATIENCE)
    });
    with_limit.find(|(_, limit)| now < *limit)
}

impl Entry<'_> {
    pub(super) fn connection(&self) -> &SharedConnection {
        &self.pipeline.connection
    }

    /// Runs the transaction, and learns from how long it takes.
    pub(super) async fn timed<R>(
        &self,
        connection: &Connection,
        work: impl Future<Output = Result<R, Failure>>,
    ) -> Result<R, Failure> {
        let depth = &self.pipelines.depth;
        let is_measurement_due = depth.borrow_mut().is_measurement_due();
        let began = Instant::now();
        let (round_trip, result) = if is_measurement_due {
            // Sent in front of the transaction, so it costs no time.
            join(round_trip(connection), work).await
        } else {
            (None, work.await)
        };
        if result.is_ok() {
            depth.borrow_mut().note(began.elapsed(), round_trip);
        }
        result
    }
}

async fn round_trip(connection: &Connection) -> Option<Duration> {
    let began = Instant::now();
    connection.simple_query("").await.ok()?;
    Some(began.elapsed())
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut began = self.pipeline.began.borrow_mut();
        if let Some(at) = began.iter().position(|began| *began == self.began) {
            began.remove(at);
        }
        if began.is_empty() {
            let mut all = self.pipelines.all.borrow_mut();
            all.retain(|pipeline| !Rc::ptr_eq(pipeline, &self.pipeline));
        }
    }
}
