//! The store's thread: takes calls and begins what they ask for, until the store is closed. `super` starts it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::timeout;

use super::ahead::Scans;
use super::batches::Batches;
use super::database::Database;
use super::follow::Following;
use super::late_writes::LateWrites;
use super::options::PostgresOptions;
use super::reader::Reader;
use super::single::Singles;
use super::tables::Preparation;
use super::trim::Trimming;
use super::upkeep::Upkeep;
use super::write::Writer;
use crate::store::backlog::Admitted;
use crate::store::error::{StoreError, catching_async};
use crate::store::follow::FollowerId;
use crate::store::statistics::Statistics;
use crate::store::upkeep::UpkeepRequest;
use crate::store::write::AdmittedWrite;
use crate::store::{Answer, Deliver, ReadRequest};

/// How long connections get, once the last call is answered, to say goodbye to the server.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long followers get, once the last write is answered, to be told what was stored; and then how long deleted sessions
/// that were written to, and what is over the caps.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// A call, on its way to the store's thread.
pub(super) enum Call<T> {
    Ready(T),
    Write(Vec<(AdmittedWrite, T)>),
    Read(Admitted<ReadRequest>, T),
    Follow(FollowerId, String, i64),
    NextEvents(FollowerId, T),
    Unfollow(FollowerId),
    Close(Option<T>),
}

/// What an open store is made of.
struct Parts<T> {
    deliver: Deliver<T>,
    database: Rc<Database>,
    preparation: Rc<Preparation>,
    batches: Rc<Batches<T>>,
    scans: Rc<Scans>,
    reader: Rc<Reader>,
    following: Rc<Following<T>>,
    late_writes: Rc<LateWrites>,
    trimming: Rc<Trimming>,
    upkeep: Rc<Upkeep>,
}

/// Every call that is being worked on holds one of these.
type Working = mpsc::Sender<()>;

/// The store's thread.
pub(super) fn run<T: 'static>(
    runtime: Runtime,
    options: PostgresOptions,
    statistics: Arc<Statistics>,
    calls: mpsc::UnboundedReceiver<Call<T>>,
    deliver: &Deliver<T>,
) {
    let closers = LocalSet::new().block_on(&runtime, serve(options, statistics, calls, deliver));
    // A look-up of a host's name cannot be stopped, and must not hold up `close`.
    runtime.shutdown_background();
    deliver(closers.into_iter().map(|ticket| (ticket, Ok(Answer::Done))).collect());
}

/// Takes calls until the store is closed, works off what was called before, and comes back with those who wait for that.
async fn serve<T: 'static>(
    options: PostgresOptions,
    statistics: Arc<Statistics>,
    mut calls: mpsc::UnboundedReceiver<Call<T>>,
    deliver: &Deliver<T>,
) -> Vec<T> {
    let parts = Parts::new(options, statistics, deliver);
    let (working, mut idle) = mpsc::channel(1);
    parts.begin_to_write(working.clone());
    let follower = {
        let following = Rc::clone(&parts.following);
        spawn_local(async move { following.answer_all().await })
    };
    let looking = {
        let late_writes = Rc::clone(&parts.late_writes);
        spawn_local(async move { late_writes.look_until_closed().await })
    };
    let trimming = {
        let trimming = Rc::clone(&parts.trimming);
        spawn_local(async move { trimming.trim_until_closed().await })
    };
    let reaper = spawn_local(Rc::clone(&parts.database).close_idle_connections());
    let mut closers = Vec::new();
    while let Some(call) = calls.recv().await {
        if let Call::Close(ticket) = call {
            closers.extend(ticket);
            break;
        }
        parts.begin(call, &working);
    }
    parts.batches.close();
    parts.database.begin_closing();
    drop(working);
    // What was called before `close` is worked off, and what comes meanwhile is refused.
    loop {
        tokio::select! {
            _ = idle.recv() => break,
            Some(call) = calls.recv() => match call {
                Call::NextEvents(follower, ticket) => parts.following.next_events(follower, ticket),
                Call::Unfollow(follower) => parts.following.unfollow(follower),
                call => closers.extend(refuse(call, deliver)),
            },
        }
    }
    parts.following.close();
    end_within(LAST_LOOK, follower).await;
    parts.following.end_all();
    parts.late_writes.close();
    parts.trimming.close();
    // If it does not find out in time, whoever writes next sees to it.
    end_within(LAST_LOOK, looking).await;
    end_within(LAST_LOOK, trimming).await;
    reaper.abort();
    parts.scans.end_all();
    calls.close();
    while let Some(call) = calls.recv().await {
        closers.extend(refuse(call, deliver));
    }
    parts.database.close(FAREWELL).await;
    closers
}

async fn end_within(at_most: Duration, mut task: JoinHandle<()>) {
    if timeout(at_most, &mut task).await.is_err() {
        task.abort();
    }
}

impl<T: 'static> Parts<T> {
    fn new(options: PostgresOptions, statistics: Arc<Statistics>, deliver: &Deliver<T>) -> Self {
        let database = Rc::new(Database::new(options, statistics));
        let preparation = Rc::new(Preparation::new(Rc::clone(&database)));
        let following = Rc::new(Following::new(
            Rc::clone(&database),
            Rc::clone(&preparation),
            Arc::clone(deliver),
        ));
        let singles = Rc::new(Singles::new(Rc::clone(&database), Rc::clone(&preparation)));
        let late_writes = Rc::new(LateWrites::new(Rc::clone(&database), Rc::clone(&singles)));
        let trimming = Rc::new(Trimming::new(Rc::clone(&database), Rc::clone(&singles)));
        let batches = Rc::new(Batches::new(
            Writer::new(Rc::clone(&database), Rc::clone(&preparation)),
            singles,
            Rc::clone(&late_writes),
            Rc::clone(&trimming),
            Rc::clone(&following),
            Arc::clone(&database.statistics),
        ));
        let upkeep = Rc::new(Upkeep::new(
            Rc::clone(&database),
            Rc::clone(&preparation),
            Rc::clone(&late_writes),
            Rc::clone(&trimming),
        ));
        let (writing, changing) = (Rc::clone(&batches), Rc::clone(&upkeep));
        let scans = Scans::new(Rc::clone(&database), move |session_id| {
            writing.is_written(session_id) || changing.is_changing(session_id)
        });
        let reader = Rc::new(Reader::new(
            Rc::clone(&database),
            Rc::clone(&preparation),
            Rc::clone(&scans),
        ));
        Self {
            deliver: Arc::clone(deliver),
            database,
            preparation,
            batches,
            scans,
            reader,
            following,
            late_writes,
            trimming,
            upkeep,
        }
    }

    /// Commits what is written, until [`Batches::close`].
    fn begin_to_write(&self, working: Working) {
        let (batches, deliver) = (Rc::clone(&self.batches), Arc::clone(&self.deliver));
        let at_once = self.database.writers();
        spawn_local(async move {
            batches.commit_all(&deliver, at_once).await;
            drop(working);
        });
    }

    fn keep_up(&self, request: Admitted<UpkeepRequest>, ticket: T, working: Working) {
        let (upkeep, deliver) = (Rc::clone(&self.upkeep), Arc::clone(&self.deliver));
        let following = Rc::clone(&self.following);
        upkeep.begins(&request);
        spawn_local(async move {
            // Boxed, since it is large.
            let result = Box::pin(catching_async("upkeep", upkeep.run(&request))).await;
            upkeep.ends(&request, &result);
            for session_id in request.sessions_of_events() {
                following.written(session_id);
            }
            drop(request);
            deliver(vec![(ticket, result)]);
            drop(working);
        });
    }

    /// Begins what a call asks for; not to close.
    fn begin(&self, call: Call<T>, working: &Working) {
        let (deliver, working) = (Arc::clone(&self.deliver), working.clone());
        match call {
            Call::Ready(ticket) => {
                let preparation = Rc::clone(&self.preparation);
                spawn_local(async move {
                    let result = catching_async("opening the database", preparation.ready()).await;
                    deliver(vec![(ticket, result.map(|()| Answer::Done))]);
                    drop(working);
                });
            }
            Call::Read(request, ticket) => {
                let reader = Rc::clone(&self.reader);
                spawn_local(async move {
                    let result = catching_async("reading", reader.answer(&request)).await;
                    drop(request);
                    deliver(vec![(ticket, result)]);
                    drop(working);
                });
            }
            Call::Write(writes) => {
                for (request, ticket) in writes {
                    for session_id in request.sessions_of_events() {
                        self.scans.end_those_of(session_id);
                    }
                    match request {
                        AdmittedWrite::OfSession(write) => self.batches.push(write, ticket),
                        AdmittedWrite::Upkeep(request) => self.keep_up(request, ticket, working.clone()),
                    }
                }
            }
            Call::Follow(follower, session_id, after) => self.following.follow(follower, &session_id, after),
            Call::NextEvents(follower, ticket) => self.following.next_events(follower, ticket),
            Call::Unfollow(follower) => self.following.unfollow(follower),
            Call::Close(_) => {}
        }
    }
}

/// Answers a call that came after `close`; another `close` waits with the first.
pub(super) fn refuse<T>(call: Call<T>, deliver: &Deliver<T>) -> Option<T> {
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
