//! Promises: made on the JavaScript thread, settled there too, all of one batch in one hop.
//!
//! Node-API's own helpers make one thread-safe function a promise, which costs more than the write itself
//! (ARCHITECTURE.md, "Group commit"). Here one serves a whole driver. It keeps the process alive while calls are pending.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use napi::bindgen_prelude::{Function, FunctionRef, JsObjectValue, Object, ObjectRef, ToNapiValue, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, ThreadsafeFunctionHandle};
use napi::{Env, JsValue, Result, Status, ValueType, check_status, sys};

use super::arguments;
use super::error::{self, Failure};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::{Answer, Completion};

/// A call's promise, and the event whose index may change, on their way through the store and back.
pub(super) struct Ticket {
    deferred: sys::napi_deferred,
    event: Option<ObjectRef<false>>,
}

// SAFETY: other threads only carry a ticket; the handles inside are used on the JavaScript thread that made them alone.
unsafe impl Send for Ticket {}

/// The program's own `JSON.parse`.
type Parse = FunctionRef<String, Unknown<'static>>;

type Settle = ThreadsafeFunction<Vec<Completion<Ticket>>, (), (), Status, false, true>;

/// Makes a driver's promises and settles them.
pub(super) struct Promises {
    settle: Arc<Settle>,
    pending: Arc<Pending>,
}

/// How many promises are not settled. The process stays alive while there are any.
#[derive(Default)]
struct Pending {
    count: AtomicUsize,
    // Weak, since the function that the handle releases owns this.
    handle: OnceLock<Weak<ThreadsafeFunctionHandle>>,
}

impl Promises {
    pub(super) fn new(env: &Env) -> Result<Self> {
        let json: Object = env.get_global()?.get_named_property("JSON")?;
        let parse: Function<String, Unknown> = json.get_named_property("parse")?;
        let parse = parse.create_ref()?;
        let pending = Arc::new(Pending::default());
        let in_callback = Arc::clone(&pending);
        let nothing = env.create_function_from_closure::<(), (), _>("settle", |_| Ok(()))?;
        let settle: Settle = nothing
            .build_threadsafe_function::<Vec<Completion<Ticket>>>()
            .callee_handled::<false>()
            .weak::<true>()
            .build_callback(move |context| {
                let env = context.env;
                in_callback.remove(&env, context.value.len());
                for (ticket, result) in context.value {
                    // A promise that cannot be settled belongs to an environment that is going away.
                    let _ = ticket.settle(&env, result, &parse);
                }
                Ok(())
            })?;
        // The cell was just made, so it is empty.
        let _ = pending.handle.set(Arc::downgrade(&settle.handle));
        Ok(Self {
            settle: Arc::new(settle),
            pending,
        })
    }

    /// A new promise, and the ticket that settles it. `event` gets the index it is stored at.
    pub(super) fn promise<'env>(&self, env: &'env Env, event: Option<Object<'_>>) -> Result<(Ticket, Unknown<'env>)> {
        let event = event.map(|event| event.create_ref()).transpose()?;
        let (deferred, promise) = new_promise(env)?;
        self.pending.add(env);
        Ok((Ticket { deferred, event }, promise))
    }

    /// What the store calls, on its own threads, with what it has finished.
    pub(super) fn deliver(&self) -> impl Fn(Vec<Completion<Ticket>>) + Send + Sync + 'static {
        let settle = Arc::clone(&self.settle);
        move |completions| {
            if !completions.is_empty() {
                // It fails only when the environment is going away, and its promises with it.
                settle.call(completions, ThreadsafeFunctionCallMode::NonBlocking);
            }
        }
    }
}

/// A promise that is rejected already.
pub(super) fn rejected(env: &Env, failure: Failure) -> Result<Unknown<'_>> {
    let (deferred, promise) = new_promise(env)?;
    reject(env, deferred, failure)?;
    Ok(promise)
}

impl Pending {
    fn add(&self, env: &Env) {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.each_handle(env, |env, raw| {
                // SAFETY: called on the JavaScript thread with a function that is not released.
                unsafe { sys::napi_ref_threadsafe_function(env, raw) }
            });
        }
    }

    fn remove(&self, env: &Env, settled: usize) {
        if self.count.fetch_sub(settled, Ordering::Relaxed) == settled {
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
    fn settle(self, env: &Env, result: std::result::Result<Answer, StoreError>, parse: &Parse) -> Result<()> {
        let Self { deferred, event } = self;
        let settled = match result {
            Ok(answer) => value_of(env, answer, event.as_ref(), parse),
            Err(error) => {
                if let (Some(index), Some(event)) = (error.moved_to, &event) {
                    // A frozen object cannot show it, which is not what went wrong here.
                    let _ = show_index(env, event, index);
                }
                Err(error.into())
            }
        };
        let done = match settled {
            Ok(value) => resolve(env, deferred, value),
            Err(failure) => reject(env, deferred, failure),
        };
        if let Some(event) = event {
            event.unref(env)?;
        }
        done
    }
}

/// The value that an answer of the store resolves its promise to.
fn value_of(
    env: &Env,
    answer: Answer,
    event: Option<&ObjectRef<false>>,
    parse: &Parse,
) -> std::result::Result<sys::napi_value, Failure> {
    let value = match answer {
        Answer::Done | Answer::Absent => undefined(env),
        Answer::Reassigned(index) => {
            if let Some(event) = event {
                show_index(env, event, index)?;
            }
            undefined(env)
        }
        Answer::Json(text) => parse.borrow_back(env).and_then(|parse| {
            let text = env.create_string_from_std(text)?;
            error::call(env, parse.raw(), text.raw())
        }),
    };
    value.map_err(|_| {
        let error = StoreError::new(
            ErrorKind::Internal,
            "turning the stored JSON text into a value failed (see `cause`): ask for fewer items a page",
        );
        Failure::thrown(env, error)
    })
}

/// Gives the caller's event the index it is stored at: the SDK hands this very object to its listeners
/// (docs/sdk-contract.md, 7).
fn show_index(env: &Env, event: &ObjectRef<false>, index: i64) -> std::result::Result<(), Failure> {
    let refused = || {
        StoreError::new(
            ErrorKind::IndexConflict,
            format!(
                "the event is stored at index {index}, since its own was taken, but `eventIndex` of the object that was \
                 passed cannot be set: pass events that are not frozen"
            ),
        )
    };
    // Read back, because a frozen object refuses a new value without a word.
    let shown = event.get_value(env).and_then(|mut event| {
        event.set_named_property("eventIndex", index)?;
        event.get_named_property::<Unknown>("eventIndex")
    });
    match shown {
        Ok(shown) if arguments::read::<i64>(&shown, ValueType::Number) == Some(index) => Ok(()),
        Ok(_) => Err(refused().into()),
        Err(_) => Err(Failure::thrown(env, refused())),
    }
}

fn undefined(env: &Env) -> Result<sys::napi_value> {
    // SAFETY: on the JavaScript thread, with its environment.
    unsafe { ToNapiValue::to_napi_value(env.raw(), ()) }
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

fn reject(env: &Env, deferred: sys::napi_deferred, failure: Failure) -> Result<()> {
    let error = failure.into_js(env)?.raw();
    // SAFETY: as in `resolve`.
    check_status!(unsafe { sys::napi_reject_deferred(env.raw(), deferred, error) })
}
