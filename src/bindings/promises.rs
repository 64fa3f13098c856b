//! Promises: made on the JavaScript thread, settled there too, all of one batch in one hop, or in slices if they are many.
//!
//! Node-API's own helpers make one thread-safe function a promise, which costs more than the write itself
//! (ARCHITECTURE.md, "Group commit"). Here one serves a whole driver. It keeps the process alive while calls are pending.
//!
//! Answers wait in a queue of ours for the JavaScript thread, and the thread-safe function only wakes it: what is handed to
//! one whose environment ends may never be freed, and an answer may be a page of many megabytes.

use std::collections::VecDeque;
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Object, ObjectRef, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, ThreadsafeFunctionHandle};
use napi::{Env, JsValue, Result, Status, check_status, sys};

use super::answers::{show_index, value_of};
use super::error::Failure;
use super::realm::{Realm, undefined};
use super::watched::Watched;
use crate::store::address::StoreAddress;
use crate::store::error::StoreError;
use crate::store::statistics::Statistics;
use crate::store::{Answer, Completion};

/// How many promises one turn of the event loop settles. Each has a continuation, which runs in that turn too.
const MOST_A_TURN: usize = 512;

/// How long a turn settles promises before it leaves the others to the next: a page takes milliseconds to parse.
const LONGEST: Duration = Duration::from_millis(5);

/// A promise, and the event whose index may change, on their way through the store and back.
pub(super) struct Ticket {
    deferred: sys::napi_deferred,
    event: Option<ObjectRef<false>>,
    waits: Waits,
}

/// What a promise waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// A call, which the store works off by itself.
    ForCall,
    /// News, which may come late or never: new events, or what comes of a job.
    ForNews,
}

// SAFETY: other threads only carry a ticket, or drop it, which does nothing to the handles inside: only the JavaScript thread
// that made these uses them.
unsafe impl Send for Ticket {}

type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// Makes a driver's promises and settles them.
pub(super) struct Promises {
    realm: Rc<Realm>,
    wake: Arc<Wake>,
    calls: Arc<Calls>,
}

/// What the store's threads and the JavaScript thread share.
#[derive(Default)]
struct Calls {
    answers: Mutex<Answers>,
    /// How many promises of calls are not settled.
    pending: AtomicUsize,
    /// How many promises, of calls and of followers, are not settled. The process stays alive while there are any.
    unsettled: AtomicUsize,
    // Weak, since the function that the handle releases owns this.
    handle: OnceLock<Weak<ThreadsafeFunctionHandle>>,
    /// The store's, once there is one.
    watched: OnceLock<Watched>,
}

#[derive(Default)]
struct Answers {
    waiting: VecDeque<Completion<Ticket>>,
    /// Whether the JavaScript thread has been told of them.
    told: bool,
    /// Those who wait until nothing is pending.
    idle: Vec<Ticket>,
    /// Whether the environment has ended, so that nobody takes answers any more.
    abandoned: bool,
}

impl Promises {
    pub(super) fn new(env: &Env, realm: &Rc<Realm>) -> Result<Self> {
        let calls = Arc::new(Calls::default());
        let (in_callback, callback_realm) = (Arc::clone(&calls), Rc::clone(realm));
        let nothing = env.create_function_from_closure::<(), (), _>("settle", |_| Ok(()))?;
        let wake: Wake = nothing
            .build_threadsafe_function::<()>()
            .callee_handled::<false>()
            .weak::<true>()
            .build_callback(move |context| {
                in_callback.settle_some(&context.env, &callback_realm);
                Ok(())
            })?;
        // The cell was just made, so it is empty.
        let _ = calls.handle.set(Arc::downgrade(&wake.handle));
        Ok(Self {
            realm: Rc::clone(realm),
            wake: Arc::new(wake),
            calls,
        })
    }

    /// A call's promise, and the ticket that settles it. `event` gets the index it is stored at.
    pub(super) fn promise<'env>(&self, env: &'env Env, event: Option<Object<'_>>) -> Result<(Ticket, Unknown<'env>)> {
        let event = event.map(|event| event.create_ref()).transpose()?;
        self.new_ticket(env, event, Waits::ForCall)
    }

    /// A promise of news, such as new events, which does not count as a pending call.
    pub(super) fn of_news<'env>(&self, env: &'env Env) -> Result<(Ticket, Unknown<'env>)> {
        self.new_ticket(env, None, Waits::ForNews)
    }

    fn new_ticket<'env>(
        &self,
        env: &'env Env,
        event: Option<ObjectRef<false>>,
        waits: Waits,
    ) -> Result<(Ticket, Unknown<'env>)> {
        let (deferred, promise) = new_promise(env)?;
        self.calls.add(env, waits);
        Ok((Ticket { deferred, event, waits }, promise))
    }

    /// A promise that is rejected already.
    pub(super) fn rejected<'env>(&self, env: &'env Env, failure: Failure) -> Result<Unknown<'env>> {
        let (deferred, promise) = new_promise(env)?;
        reject(env, &self.realm, deferred, failure)?;
        Ok(promise)
    }

    /// How many calls are not settled.
    pub(super) fn pending(&self) -> usize {
        self.calls.pending.load(Ordering::Relaxed)
    }

    /// A promise that resolves as soon as no call is pending.
    pub(super) fn when_idle<'env>(&self, env: &'env Env) -> Result<Unknown<'env>> {
        let (deferred, promise) = new_promise(env)?;
        if self.pending() == 0 {
            resolve(env, deferred, undefined(env)?)?;
        } else {
            self.calls.answers().idle.push(Ticket {
                deferred,
                event: None,
                waits: Waits::ForCall,
            });
        }
        Ok(promise)
    }

    /// What the store calls, on its own threads, with what it has finished.
    pub(super) fn deliver(&self) -> impl Fn(Vec<Completion<Ticket>>) + Send + Sync + 'static {
        let (wake, calls) = (Arc::clone(&self.wake), Arc::clone(&self.calls));
        move |completions| {
            if calls.put(completions) {
                // It fails only when the environment is going away, and its promises with it.
                wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        }
    }

    /// Counts what the promises say of the store, and sends its notices on with the answers.
    pub(super) fn watch(&self, address: &StoreAddress, statistics: &Arc<Statistics>) {
        // Weak, since the store may outlive the driver.
        let (wake, calls) = (Arc::downgrade(&self.wake), Arc::downgrade(&self.calls));
        let watched = Watched::new(address, statistics, move || {
            if let (Some(wake), Some(calls)) = (wake.upgrade(), calls.upgrade())
                && calls.tell()
            {
                wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        });
        // The cell is that of a driver that is being made, so it is empty.
        let _ = self.calls.watched.set(watched);
    }

    /// Lets go of all answers, now and from now on. Called when the environment ends.
    pub(super) fn abandon(&self) {
        let mut answers = self.calls.answers();
        answers.abandoned = true;
        let waiting = std::mem::take(&mut answers.waiting);
        drop(answers);
        drop(waiting);
        // Node has released it by now. A runtime that finalizes nothing would keep what it holds: files of the event loop.
        self.wake.handle.with_write_aborted(|mut aborted| {
            if !std::mem::replace(&mut *aborted, true) {
                // SAFETY: it was not released before, and never will be again, since it counts as aborted now.
                unsafe {
                    sys::napi_release_threadsafe_function(
                        self.wake.handle.get_raw(),
                        sys::ThreadsafeFunctionReleaseMode::abort,
                    )
                };
            }
        });
    }
}

impl Calls {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        // No code under this lock can leave the answers half changed.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts answers where the JavaScript thread takes them; true when it has to be woken.
    fn put(&self, completions: Vec<Completion<Ticket>>) -> bool {
        let mut answers = self.answers();
        if completions.is_empty() || answers.abandoned {
            return false;
        }
        answers.waiting.extend(completions);
        !std::mem::replace(&mut answers.told, true)
    }

    /// Has the JavaScript thread look for what there is; true when it has to be woken.
    fn tell(&self) -> bool {
        let mut answers = self.answers();
        !answers.abandoned && !std::mem::replace(&mut answers.told, true)
    }

    /// Settles what waits, in the order in which it was answered. When that is much, timers and I/O have their turn before
    /// the next part.
    fn settle_some(self: &Arc<Self>, env: &Env, realm: &Rc<Realm>) {
        let started = Instant::now();
        let mut answers = self.answers();
        let count = answers.waiting.len().min(MOST_A_TURN);
        let mut slice: VecDeque<_> = answers.waiting.drain(..count).collect();
        drop(answers);
        let mut calls = 0;
        while let Some((ticket, result)) = slice.pop_front() {
            calls += usize::from(ticket.waits == Waits::ForCall);
            if let (Waits::ForCall, Err(_), Some(watched)) = (ticket.waits, &result, self.watched.get()) {
                watched.failed();
            }
            // A promise that cannot be settled belongs to an environment that is going away.
            let _ = ticket.settle(env, realm, result);
            if started.elapsed() >= LONGEST {
                break;
            }
        }
        self.pending.fetch_sub(calls, Ordering::Relaxed);
        self.remove(env, count - slice.len());
        if let Some(watched) = self.watched.get() {
            // It fails only when the environment is going away.
            let _ = watched.publish(env, realm);
        }

        let mut answers = self.answers();
        while let Some(completion) = slice.pop_back() {
            answers.waiting.push_front(completion);
        }
        answers.told = !answers.waiting.is_empty();
        let are_left = answers.told;
        drop(answers);
        if are_left {
            // It fails only when the environment is going away.
            let _ = self.settle_in_next_turn(env, realm);
        }
        if self.pending.load(Ordering::Relaxed) == 0 {
            let idle = std::mem::take(&mut self.answers().idle);
            for ticket in idle {
                let _ = ticket.settle(env, realm, Ok(Answer::Done));
            }
        }
    }

    /// Not by the thread-safe function, which would call back in this turn once more.
    fn settle_in_next_turn(self: &Arc<Self>, env: &Env, realm: &Rc<Realm>) -> Result<()> {
        let (calls, in_callback) = (Arc::clone(self), Rc::clone(realm));
        let settle = env.create_function_from_closure::<(), (), _>("settle", move |context| {
            calls.settle_some(context.env, &in_callback);
            Ok(())
        })?;
        realm.set_immediate(env, settle.raw())
    }

    fn add(&self, env: &Env, waits: Waits) {
        if waits == Waits::ForCall {
            self.pending.fetch_add(1, Ordering::Relaxed);
        }
        if self.unsettled.fetch_add(1, Ordering::Relaxed) == 0 {
            self.each_handle(env, |env, raw| {
                // SAFETY: called on the JavaScript thread with a function that is not released.
                unsafe { sys::napi_ref_threadsafe_function(env, raw) }
            });
        }
    }

    fn remove(&self, env: &Env, settled: usize) {
        if settled > 0 && self.unsettled.fetch_sub(settled, Ordering::Relaxed) == settled {
            self.each_handle(env, |env, raw| {
                // SAFETY: called on the JavaScript thread with a function that is not released.
                unsafe { sys::napi_unref_threadsafe_function(env, raw) }
            });
        }
    }

    fn each_handle(
        &self,
        env: &Env,
        change: impl Fn(sys::napi_env, sys::napi_threadsafe_function) -> sys::napi_status,
    ) {
        let Some(handle) = self.handle.get().and_then(Weak::upgrade) else {
            return;
        };
        handle.with_read_aborted(|aborted| {
            if !aborted {
                change(env.raw(), handle.get_raw());
            }
        });
    }
}

impl Ticket {
    fn settle(self, env: &Env, realm: &Realm, result: std::result::Result<Answer, StoreError>) -> Result<()> {
        let Self { deferred, event, .. } = self;
        let settled = match result {
            Ok(answer) => value_of(env, realm, answer, event.as_ref()),
            Err(error) => {
                if let (Some(index), Some(event)) = (error.reassigned_to, &event) {
                    // A frozen object cannot show it, which is not what went wrong here.
                    let _ = show_index(env, event, index);
                }
                Err(error.into())
            }
        };
        let done = match settled {
            Ok(value) => resolve(env, deferred, value),
            Err(failure) => reject(env, realm, deferred, failure),
        };
        if let Some(event) = event {
            event.unref(env)?;
        }
        done
    }
}

fn new_promise(env: &Env) -> Result<(sys::napi_deferred, Unknown<'_>)> {
    let (mut deferred, mut promise) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: on the JavaScript thread, with its environment; both pointers are valid for the call.
    check_status!(unsafe { sys::napi_create_promise(env.raw(), &raw mut deferred, &raw mut promise) })?;
    // SAFETY: the value was just made in this environment.
    Ok((deferred, unsafe { Unknown::from_raw_unchecked(env.raw(), promise) }))
}

fn resolve(env: &Env, deferred: sys::napi_deferred, value: sys::napi_value) -> Result<()> {
    // SAFETY: on the JavaScript thread; the deferred is owned by the caller, who gives it up here: it is settled once.
    check_status!(unsafe { sys::napi_resolve_deferred(env.raw(), deferred, value) })
}

fn reject(env: &Env, realm: &Realm, deferred: sys::napi_deferred, failure: Failure) -> Result<()> {
    let error = failure.into_js(env, realm)?.raw();
    // SAFETY: as in `resolve`.
    check_status!(unsafe { sys::napi_reject_deferred(env.raw(), deferred, error) })
}
