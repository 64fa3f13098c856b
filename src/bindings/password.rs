//! The caller's function for the password, as the store asks it: called on the JavaScript thread, answered on the store's.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use napi::bindgen_prelude::{FunctionRef, JsValue, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use tokio::sync::oneshot;

use super::realm::Realm;
use crate::store::error::CallerFailure;
use crate::store::postgres::PasswordSource;

/// What the store's thread asks of the JavaScript thread.
enum Request {
    /// The password, or the number under which `lib` keeps what the function failed with.
    Ask(oneshot::Sender<std::result::Result<String, u32>>),
    /// To let go of what is kept under this number.
    Forget(u32),
}

/// It keeps no process alive: the calls that wait for the password do.
type OnJavaScriptThread = ThreadsafeFunction<Request, (), (), Status, false, true>;

/// The caller's function.
pub(super) struct PasswordFunction(Arc<OnJavaScriptThread>);

impl PasswordFunction {
    pub(super) fn new(env: &Env, realm: &Rc<Realm>, function: FunctionRef<(), Unknown<'static>>) -> Result<Self> {
        let realm = Rc::clone(realm);
        let nothing = env.create_function_from_closure::<(), (), _>("password", |_| Ok(()))?;
        let on_javascript_thread = nothing
            .build_threadsafe_function::<Request>()
            .callee_handled::<false>()
            .weak::<true>()
            .build_callback(move |context| {
                let env = context.env;
                // It fails only in an environment that is going away, where nobody waits for an answer.
                let _ = match context.value {
                    Request::Ask(told) => ask(&env, &realm, &function, told),
                    Request::Forget(number) => realm.forget_failure(&env, number),
                };
                Ok(())
            })?;
        Ok(Self(Arc::new(on_javascript_thread)))
    }
}

impl PasswordSource for PasswordFunction {
    fn ask(&self) -> BoxFuture<'static, std::result::Result<String, CallerFailure>> {
        let (told, answer) = oneshot::channel();
        let function = Arc::clone(&self.0);
        function.call(Request::Ask(told), ThreadsafeFunctionCallMode::NonBlocking);
        let forget = move |number| {
            function.call(Request::Forget(number), ThreadsafeFunctionCallMode::NonBlocking);
        };
        async move {
            match answer.await {
                Ok(answer) => answer.map_err(|number| CallerFailure::new(number, forget)),
                // Its promise can never be settled, or its environment has ended.
                Err(_) => pending().await,
            }
        }
        .boxed()
    }
}

/// Has `lib` call the function, and tell what comes of it.
fn ask(
    env: &Env,
    realm: &Realm,
    function: &FunctionRef<(), Unknown<'static>>,
    told: oneshot::Sender<std::result::Result<String, u32>>,
) -> Result<()> {
    let told = Cell::new(Some(told));
    let settle = env.create_function_from_closure::<(), bool, _>("settle", move |context| {
        let answer = match context.get::<Option<String>>(0)? {
            Some(password) => Ok(password),
            None => Err(context.get::<u32>(1)?),
        };
        Ok(told.take().is_some_and(|told| told.send(answer).is_ok()))
    })?;
    realm.ask_password(env, function.borrow_back(env)?.raw(), settle.raw())
}
