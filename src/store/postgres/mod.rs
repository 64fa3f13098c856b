//! The Postgres backend: one thread that serves all connections of a driver. `bindings` calls [`PostgresStore`].
//!
//! [`PostgresStore`] is the handle that callers hold, and `serve` the thread's loop. Each other file says what it is for, and
//! ARCHITECTURE.md has the list.

mod ahead;
mod batches;
mod check;
mod compaction;
mod connection;
mod database;
mod deadline;
mod depth;
mod error;
mod follow;
mod late_writes;
mod list;
mod load;
mod login;
mod lookup;
mod measure;
mod options;
mod pipeline;
mod place;
mod progress;
mod prunable;
mod queue;
mod read;
mod reader;
mod rebuild;
mod refusal;
mod rows;
mod scan;
mod serve;
mod session_lock;
mod shared;
mod single;
mod statement;
mod tables;
mod text;
mod trim;
mod upkeep;
mod write;

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tokio::runtime::Builder;
use tokio::sync::mpsc;

pub use login::{
    ConnectionOptions, Environment, Password, PasswordSource, SslMode, SslOptions, Target, take_parameter,
};
pub use options::PostgresOptions;
pub use tables::{DEFAULT_SCHEMA, Role, Tables, creation, grants, plan};

use serve::{Call, refuse, run};

use super::access::Access;
use super::address::StoreAddress;
use super::backlog::Backlog;
use super::error::StoreError;
use super::follow::FollowerId;
use super::statistics::Statistics;
use super::write::WriteRequest;
use super::{Answer, Deliver, ReadRequest, Store};

/// The store over a Postgres database. The writes of one session keep their order; those of different sessions may
/// overtake each other.
pub struct PostgresStore<T: Send + 'static> {
    calls: mpsc::UnboundedSender<Call<T>>,
    backlog: Arc<Backlog>,
    statistics: Arc<Statistics>,
    deliver: Deliver<T>,
    address: StoreAddress,
    /// What messages call a database that is only read.
    only_read: Option<String>,
}

impl<T: Send + 'static> PostgresStore<T> {
    /// Begins to connect.
    pub fn open(options: PostgresOptions, deliver: Deliver<T>) -> Result<Self, StoreError> {
        let not_started = |error: std::io::Error| StoreError::no_thread(&error);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(not_started)?;
        let (calls, received) = mpsc::unbounded_channel();
        let statistics = Statistics::new();
        let store = Self {
            calls,
            backlog: Backlog::new(Arc::clone(&statistics)),
            statistics: Arc::clone(&statistics),
            deliver: Arc::clone(&deliver),
            address: options.target.store_address(options.tables.schema()),
            only_read: (options.access == Access::Read).then(|| options.target.name().to_owned()),
        };
        thread::Builder::new()
            .name(String::from("persist-postgres"))
            .spawn(move || run(runtime, options, statistics, received, &deliver))
            .map_err(not_started)?;
        Ok(store)
    }

    fn call(&self, call: Call<T>) {
        let Err(mpsc::error::SendError(call)) = self.calls.send(call) else {
            return;
        };
        // The thread has ended: the store is closed.
        match call {
            Call::Close(Some(ticket)) => (self.deliver)(vec![(ticket, Ok(Answer::Done))]),
            call => {
                refuse(call, &self.deliver);
            }
        }
    }
}

impl<T: Send + 'static> Store<T> for PostgresStore<T> {
    fn address(&self) -> &StoreAddress {
        &self.address
    }

    fn statistics(&self) -> &Arc<Statistics> {
        &self.statistics
    }

    fn ready(&self, ticket: T) {
        self.call(Call::Ready(ticket));
    }

    fn write(&self, writes: Vec<(WriteRequest, T)>) {
        if let Some(name) = &self.only_read {
            let refusal = StoreError::only_read(name);
            return (self.deliver)(
                writes
                    .into_iter()
                    .map(|(_, ticket)| (ticket, Err(refusal.clone())))
                    .collect(),
            );
        }
        let called = Instant::now();
        let (mut admitted, mut refused) = (Vec::with_capacity(writes.len()), Vec::new());
        for (request, ticket) in writes {
            match request.admit(&self.backlog, called) {
                Ok(request) => admitted.push((request, ticket)),
                Err(refusal) => refused.push((ticket, Err(refusal))),
            }
        }
        self.call(Call::Write(admitted));
        (self.deliver)(refused);
    }

    fn read(&self, request: ReadRequest, ticket: T) {
        let bytes = request.text_bytes();
        match self.backlog.admit(request, bytes, Instant::now()) {
            Ok(request) => self.call(Call::Read(request, ticket)),
            Err(refusal) => (self.deliver)(vec![(ticket, Err(refusal))]),
        }
    }

    fn follow(&self, follower: FollowerId, session_id: &str, after: i64) {
        self.call(Call::Follow(follower, session_id.to_owned(), after));
    }

    fn next_events(&self, follower: FollowerId, ticket: T) {
        self.call(Call::NextEvents(follower, ticket));
    }

    fn unfollow(&self, follower: FollowerId) {
        self.call(Call::Unfollow(follower));
    }

    fn close(&self, ticket: Option<T>) {
        self.call(Call::Close(ticket));
    }
}

impl<T: Send + 'static> Drop for PostgresStore<T> {
    fn drop(&mut self) {
        self.call(Call::Close(None));
    }
}
