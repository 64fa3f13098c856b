//! The Postgres backend: one thread that serves all connections of a driver. `bindings` calls [`PostgresStore`].
//!
//! [`PostgresStore`] is the handle that callers hold, and the thread's loops stand below it. `options` has what it is opened
//! with, and the defaults. `login` says where the database is and how to log in; `connection` makes connections; `database`
//! keeps them, and tries again what a broken one left undone, until a `deadline`; `shared`, `pipeline` and `depth` let several calls use one at
//! once. `tables` makes the tables ready; `queue`, `batches`, `write`, `progress`, `text`, `rows`, `place`, `statement`,
//! `single` and `session_lock` write; `late_writes` sees to writes to deleted sessions; `reader`, `ahead`, `lookup` and `read`
//! read; `follow` tells followers what is new; `error` and `refusal` say what Postgres refuses.

mod ahead;
mod batches;
mod connection;
mod database;
mod deadline;
mod depth;
mod error;
mod follow;
mod late_writes;
mod list;
mod login;
mod lookup;
mod options;
mod pipeline;
mod place;
mod progress;
mod queue;
mod read;
mod reader;
mod refusal;
mod rows;
mod session_lock;
mod shared;
mod single;
mod statement;
mod tables;
mod text;
mod write;

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

pub use login::{ConnectionOptions, Environment, Password, PasswordSource, SslMode, SslOptions, Target};
pub use options::{Access, PostgresOptions};
pub use tables::{DEFAULT_SCHEMA, Tables};

use ahead::Scans;
use batches::Batches;
use database::Database;
use follow::Following;
use late_writes::LateWrites;
use reader::Reader;
use single::Singles;
use tables::Preparation;
use write::Writer;

use super::backlog::{Admitted, Backlog};
use super::commit::{AdmittedWrite, WriteRequest};
use super::error::{ErrorKind, StoreError, catching_async};
use super::follow::FollowerId;
use super::{Answer, Deliver, ReadRequest, Store};

/// How long connections get, once the last call is answered, to say goodbye to the server.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long followers get, once the last write is answered, to be told what was stored.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The store over a Postgres database. The writes of one session keep their order; those of different sessions may
/// overtake each other.
pub struct PostgresStore<T: Send + 'static> {
    calls: mpsc::UnboundedSender<Call<T>>,
    backlog: Arc<Backlog>,
    deliver: Deliver<T>,
}

/// A call, on its way to the store's thread.
enum Call<T> {
    Ready(T),
    Write(Vec<(AdmittedWrite, T)>),
    Read(Admitted<ReadRequest>, T),
    Follow(FollowerId, String, i64),
    NextEvents(FollowerId, T),
    Unfollow(FollowerId),
    Close(Option<T>),
}

impl<T: Send + 'static> PostgresStore<T> {
    /// Begins to connect.
    pub fn open(options: PostgresOptions, deliver: Deliver<T>) -> Result<Self, StoreError> {
        let not_started = |error: std::io::Error| {
            StoreError::new(
                ErrorKind::Unavailable,
                format!("starting a thread failed: {error}; close drivers that are not used"),
            )
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(not_started)?;
        let (calls, received) = mpsc::unbounded_channel();
        let store = Self {
            calls,
            backlog: Backlog::new(),
            deliver: Arc::clone(&deliver),
        };
        thread::Builder::new()
            .name(String::from("persist-postgres"))
            .spawn(move || run(runtime, options, received, &deliver))
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
    fn ready(&self, ticket: T) {
        self.call(Call::Ready(ticket));
    }

    fn write(&self, writes: Vec<(WriteRequest, T)>) {
        let (mut admitted, mut refused) = (Vec::with_capacity(writes.len()), Vec::new());
        for (request, ticket) in writes {
            match request.admit(&self.backlog) {
                Ok(request) => admitted.push((request, ticket)),
                Err(refusal) => refused.push((ticket, Err(refusal))),
            }
        }
        self.call(Call::Write(admitted));
        (self.deliver)(refused);
    }

    fn read(&self, request: ReadRequest, ticket: T) {
        let bytes = request.text_bytes();
        match self.backlog.admit(request, bytes) {
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

/// The store's thread.
fn run<T: 'static>(
    runtime: Runtime,
    options: PostgresOptions,
    calls: mpsc::UnboundedReceiver<Call<T>>,
    deliver: &Deliver<T>,
) {
    let closers = LocalSet::new().block_on(&runtime, serve(options, calls, deliver));
    // A look-up of a host's name cannot be stopped, and must not hold up `close`.
    runtime.shutdown_background();
    deliver(closers.into_iter().map(|ticket| (ticket, Ok(Answer::Done))).collect());
}

/// Takes calls until the store is closed, works off what was called before, and comes back with those who wait for that.
async fn serve<T: 'static>(
    options: PostgresOptions,
    mut calls: mpsc::UnboundedReceiver<Call<T>>,
    deliver: &Deliver<T>,
) -> Vec<T> {
    // Every task holds one of these while it runs.
    let (working, mut idle) = mpsc::channel::<()>(1);
    let database = Rc::new(Database::new(options));
    let preparation = Rc::new(Preparation::new(Rc::clone(&database)));
    let following = Rc::new(Following::new(
        Rc::clone(&database),
        Rc::clone(&preparation),
        Arc::clone(deliver),
    ));
    let singles = Rc::new(Singles::new(Rc::clone(&database), Rc::clone(&preparation)));
    let late_writes = Rc::new(LateWrites::new(Rc::clone(&database), Rc::clone(&singles)));
    let batches = Rc::new(Batches::new(
        Writer::new(Rc::clone(&database), Rc::clone(&preparation)),
        singles,
        Rc::clone(&late_writes),
        Rc::clone(&following),
    ));
    let writing = Rc::clone(&batches);
    let scans = Scans::new(Rc::clone(&database), move |session_id| writing.is_written(session_id));
    let reads = Rc::new(Reader::new(
        Rc::clone(&database),
        Rc::clone(&preparation),
        Rc::clone(&scans),
    ));
    {
        let batches = Rc::clone(&batches);
        let (deliver, working) = (Arc::clone(deliver), working.clone());
        let at_once = database.writers();
        spawn_local(async move {
            batches.commit_all(&deliver, at_once).await;
            drop(working);
        });
    }
    let mut follower = {
        let following = Rc::clone(&following);
        spawn_local(async move { following.answer_all().await })
    };
    let mut looking = {
        let late_writes = Rc::clone(&late_writes);
        spawn_local(async move { late_writes.look_until_closed().await })
    };
    let reaper = spawn_local(Rc::clone(&database).close_idle_connections());
    let mut closers = Vec::new();
    while let Some(call) = calls.recv().await {
        match call {
            Call::Ready(ticket) => {
                let (preparation, deliver, working) = (Rc::clone(&preparation), Arc::clone(deliver), working.clone());
                spawn_local(async move {
                    let result = catching_async("opening the database", preparation.ready()).await;
                    deliver(vec![(ticket, result.map(|()| Answer::Done))]);
                    drop(working);
                });
            }
            Call::Read(request, ticket) => {
                let (reads, deliver, working) = (Rc::clone(&reads), Arc::clone(deliver), working.clone());
                spawn_local(async move {
                    let result = catching_async("reading", reads.answer(&request)).await;
                    drop(request);
                    deliver(vec![(ticket, result)]);
                    drop(working);
                });
            }
            Call::Write(writes) => {
                for (request, ticket) in writes {
                    if let Some(session_id) = request.session_of_events() {
                        scans.end_those_of(session_id);
                    }
                    batches.push(request, ticket);
                }
            }
            Call::Follow(follower, session_id, after) => following.follow(follower, &session_id, after),
            Call::NextEvents(follower, ticket) => following.next_events(follower, ticket),
            Call::Unfollow(follower) => following.unfollow(follower),
            Call::Close(ticket) => {
                closers.extend(ticket);
                break;
            }
        }
    }
    batches.close();
    drop(working);
    // What was called before `close` is worked off, and what comes meanwhile is refused.
    loop {
        tokio::select! {
            _ = idle.recv() => break,
            Some(call) = calls.recv() => match call {
                Call::NextEvents(follower, ticket) => following.next_events(follower, ticket),
                Call::Unfollow(follower) => following.unfollow(follower),
                call => closers.extend(refuse(call, deliver)),
            },
        }
    }
    following.close();
    if timeout(LAST_LOOK, &mut follower).await.is_err() {
        follower.abort();
    }
    following.end_all();
    late_writes.close();
    if timeout(FAREWELL, &mut looking).await.is_err() {
        // Whoever writes next sees to it.
        looking.abort();
    }
    reaper.abort();
    scans.end_all();
    calls.close();
    while let Some(call) = calls.recv().await {
        closers.extend(refuse(call, deliver));
    }
    database.close(FAREWELL).await;
    closers
}

/// Answers a call that came after `close`; another `close` waits with the first.
fn refuse<T>(call: Call<T>, deliver: &Deliver<T>) -> Option<T> {
    let tickets = match call {
        Call::Ready(ticket) | Call::Read(_, ticket) => vec![ticket],
        Call::Write(writes) => writes.into_iter().map(|(_, ticket)| ticket).collect(),
        Call::NextEvents(_, ticket) => {
            deliver(vec![(ticket, Ok(Answer::Done))]);
            return None;
        }
        Call::Follow(..) | Call::Unfollow(_) => return None,
        Call::Close(ticket) => return ticket,
    };
    let refused = tickets.into_iter().map(|ticket| (ticket, Err(StoreError::closed())));
    deliver(refused.collect());
    None
}
