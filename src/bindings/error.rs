//! A [`StoreError`] as a JavaScript error: `code`, `sqliteCode` and `cause`. The one place where errors cross over.

use napi::bindgen_prelude::{JsObjectValue, Object, Unknown};
use napi::{Env, JsError, JsTypeError, JsValue, Result, Status, check_status, sys};

use crate::store::error::{ErrorKind, StoreError};

/// A failed call: what the store says of it, and the JavaScript error that caused it, if one did.
pub(super) struct Failure {
    pub(super) error: StoreError,
    pub(super) cause: Option<napi::Error>,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, cause: None }
    }
}

impl Failure {
    /// A failure that something the caller's own code threw has caused: a getter, a setter, a `toJSON`, a Proxy's trap.
    pub(super) fn thrown(env: &Env, error: StoreError, cause: napi::Error) -> Self {
        Self {
            error,
            cause: Some(take_exception(env, cause)),
        }
    }

    /// The JavaScript error. Wrong arguments are a `TypeError`.
    pub(super) fn into_js(self, env: &Env) -> Result<Unknown<'_>> {
        let Self { error, cause } = self;
        let plain = napi::Error::new(Status::GenericFailure, &error.message);
        let unknown = match error.kind {
            ErrorKind::InvalidArgument => JsTypeError::from(plain).into_unknown(*env),
            _ => JsError::from(plain).into_unknown(*env),
        };
        let mut object = Object::from_raw(env.raw(), unknown.raw());
        object.set_named_property("code", error.kind.code())?;
        if let Some(database) = error.database {
            object.set_named_property("sqliteCode", database.sqlite_code)?;
            let said = napi::Error::new(Status::GenericFailure, database.message);
            object.set_named_property("cause", JsError::from(said).into_unknown(*env))?;
        }
        if let Some(cause) = cause {
            object.set_named_property("cause", JsError::from(cause).into_unknown(*env))?;
        }
        Ok(unknown)
    }

    /// The JavaScript error, to be thrown by a constructor.
    pub(super) fn into_exception(self, env: &Env) -> napi::Error {
        match self.into_js(env) {
            // Without coercion: the `cause` may lead back to itself.
            Ok(error) => napi::Error::from_unknown_without_coercion(error),
            Err(error) => error,
        }
    }
}

/// Calls a JavaScript function with one argument. What it throws becomes an error that keeps the very value.
///
/// Not by napi's own `Function::call`: that asks what was thrown for its text and its `cause`, which is the caller's code
/// again, and recurses until the stack is gone when that throws in turn, or when a `cause` leads back to itself.
pub(super) fn call(env: &Env, function: sys::napi_value, argument: sys::napi_value) -> Result<sys::napi_value> {
    let (mut this, mut result) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: on the JavaScript thread, with its environment; the pointer is valid for the call.
    check_status!(unsafe { sys::napi_get_undefined(env.raw(), &raw mut this) })?;
    // SAFETY: as above, and both values live as long as this call from JavaScript.
    let status = unsafe { sys::napi_call_function(env.raw(), this, function, 1, &raw const argument, &raw mut result) };
    check_status!(status).map_err(|error| take_exception(env, error))?;
    Ok(result)
}

/// The exception that waits to be thrown on, out of a method that must not throw; `error`, if none waits.
fn take_exception(env: &Env, error: napi::Error) -> napi::Error {
    let mut waits = false;
    let mut exception = std::ptr::null_mut();
    // SAFETY: on the JavaScript thread, with its environment; both pointers are valid for the calls.
    let taken = unsafe {
        sys::napi_is_exception_pending(env.raw(), &raw mut waits) == sys::Status::napi_ok
            && waits
            && sys::napi_get_and_clear_last_exception(env.raw(), &raw mut exception) == sys::Status::napi_ok
    };
    if !taken {
        return error;
    }
    // SAFETY: Node-API has just given this value. Without coercion: see `call`.
    napi::Error::from_unknown_without_coercion(unsafe { Unknown::from_raw_unchecked(env.raw(), exception) })
}
