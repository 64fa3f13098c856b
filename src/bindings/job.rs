//! The native class behind a method that takes many calls: one job, on a thread of its own. `lib/job.ts` asks it for what comes of it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::Unknown;
use napi::{Env, Result};
use napi_derive::napi;
use serde::Serialize;

use super::open::Open;
use super::promises::Ticket;
use crate::store::error::{StoreError, catching};
use crate::store::jobs::{self, Ended, OwnedCalls, Owner};
use crate::store::{Answer, Deliver};

/// The options that every job has. They are read in `lib/job.ts`.
pub(super) const FIELDS: [&str; 2] = ["onProgress", "signal"];

/// How often it says how far it is.
const SHORTEST_SILENCE: Duration = Duration::from_millis(100);

/// A job. It ends when JavaScript lets go of it.
#[napi]
pub struct Job {
    open: Rc<Open>,
    news: Arc<News>,
}

/// What a job has said, on its way to JavaScript.
struct News {
    state: Mutex<State>,
    /// Nobody wants the job to go on.
    stopped: AtomicBool,
    deliver: Deliver<Ticket>,
}

#[derive(Default)]
struct State {
    /// What was said last, unless somebody was told.
    said: Option<Said>,
    waiting: Option<Ticket>,
    is_over: bool,
}

type Said = std::result::Result<Answer, StoreError>;

impl Job {
    pub(super) fn begin<J: jobs::Job>(open: &Rc<Open>, job: J) -> std::result::Result<Self, StoreError> {
        let news = Arc::new(News::of(open));
        let calls = OwnedCalls {
            store: open.store.for_job(),
            owner: Watcher::of(&news),
        };
        let run = move || {
            let done = catching("running a job", || match job.run(&calls) {
                Ok(result) => Ok(Answer::Json(json("result", &result)?)),
                Err(Ended::Failed(error)) => Err(error),
                Err(Ended::Stopped) => Ok(Answer::Done),
            });
            calls.owner.news.say(done, true);
        };
        let begun = thread::Builder::new().name(String::from("persist-job")).spawn(run);
        begun.map_err(|error| StoreError::no_thread(&error))?;
        Ok(Self {
            open: Rc::clone(open),
            news,
        })
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end();
    }
}

#[napi]
impl Job {
    /// How far it is, once that has changed, or its result; nothing once it was ended.
    #[napi(catch_unwind)]
    pub fn next<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let (ticket, promise) = self.open.promises.of_news(env)?;
        self.news.tell(ticket);
        Ok(promise)
    }

    /// Ends it after the call that is under way.
    #[napi(catch_unwind)]
    pub fn end(&self) {
        self.news.stopped.store(true, Ordering::Relaxed);
    }
}

impl News {
    fn of(open: &Open) -> Self {
        Self {
            state: Mutex::default(),
            stopped: AtomicBool::new(false),
            deliver: Arc::clone(&open.deliver),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code under this lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something, in place of what was said before and nobody was told.
    fn say(&self, said: Said, is_over: bool) {
        let mut state = self.state();
        state.is_over = is_over;
        match state.waiting.take() {
            Some(ticket) => {
                drop(state);
                (self.deliver)(vec![(ticket, said)]);
            }
            None => state.said = Some(said),
        }
    }

    /// Tells whoever has this ticket what was said, or is said next.
    fn tell(&self, ticket: Ticket) {
        let mut state = self.state();
        let said = match state.said.take() {
            Some(said) => said,
            None if state.is_over => Ok(Answer::Done),
            None => {
                state.waiting = Some(ticket);
                return;
            }
        };
        drop(state);
        (self.deliver)(vec![(ticket, said)]);
    }
}

/// JavaScript, which may let go of a job, and is told how far it is.
pub(super) struct Watcher {
    news: Arc<News>,
    /// When it was last told.
    last: Cell<Option<Instant>>,
}

/// What a job has of its driver.
pub(super) type DriverCalls = OwnedCalls<Ticket, Watcher>;

impl Watcher {
    fn of(news: &Arc<News>) -> Self {
        Self {
            news: Arc::clone(news),
            last: Cell::new(None),
        }
    }
}

/// What a job on another driver has of this one, of which it only reads.
pub(super) fn calls_of_source(open: &Open) -> DriverCalls {
    OwnedCalls {
        store: open.store.for_job(),
        owner: Watcher::of(&Arc::new(News::of(open))),
    }
}

impl<Progress: Serialize> Owner<Progress> for Watcher {
    fn check(&self) -> std::result::Result<(), Ended> {
        if self.news.stopped.load(Ordering::Relaxed) {
            return Err(Ended::Stopped);
        }
        Ok(())
    }

    fn progress(&self, so_far: &Progress) -> std::result::Result<(), Ended> {
        if self.last.get().is_none_or(|last| last.elapsed() >= SHORTEST_SILENCE) {
            self.last.set(Some(Instant::now()));
            self.news.say(Ok(Answer::Json(json("progress", so_far)?)), false);
        }
        Ok(())
    }
}

/// `{"progress":...}` or `{"result":...}`.
fn json(name: &str, value: &impl Serialize) -> std::result::Result<String, StoreError> {
    let text =
        serde_json::to_string(value).map_err(|error| StoreError::internal(&format!("writing JSON failed: {error}")))?;
    Ok(format!("{{\"{name}\":{text}}}"))
}
