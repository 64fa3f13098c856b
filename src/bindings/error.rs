//! A [`StoreError`] as a JavaScript error: `code`, `sqliteCode` or `sqlState`, and `cause`. The one place where errors cross over.

use std::ptr;

use napi::bindgen_prelude::{JsObjectValue, Object, ToNapiValue, Unknown};
use napi::{Env, JsValue, Property, PropertyAttributes, Result, check_status, sys};

use crate::store::error::{DatabaseCode, ErrorKind, StoreError};

/// A failed call: what the store says of it, and what the caller's own code threw, if that caused it.
pub(super) struct Failure {
    error: StoreError,
    /// A handle of the call from JavaScript that is going on, in which a failure is made and used up.
    cause: Option<sys::napi_value>,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, cause: None }
    }
}

impl Failure {
    /// A failure of something that may run the caller's own code: a getter, a setter, a `toJSON`, a Proxy's trap. Takes
    /// what that threw from where it waits to be thrown on, out of a method that must not throw.
    pub(super) fn thrown(env: &Env, error: StoreError) -> Self {
        let mut waits = false;
        let mut exception = ptr::null_mut();
        // SAFETY: on the JavaScript thread, with its environment; both pointers are valid for the calls.
        let taken = unsafe {
            sys::napi_is_exception_pending(env.raw(), &raw mut waits) == sys::Status::napi_ok
                && waits
                && sys::napi_get_and_clear_last_exception(env.raw(), &raw mut exception) == sys::Status::napi_ok
        };
        Self {
            error,
            cause: taken.then_some(exception),
        }
    }

    /// The JavaScript error. Wrong arguments are a `TypeError`.
    pub(super) fn into_js(self, env: &Env) -> Result<Unknown<'_>> {
        let Self { error, cause } = self;
        let object = new_error(env, &error.message, error.kind == ErrorKind::InvalidArgument)?;
        let mut properties = vec![own(env, "code", error.kind.code())?];
        if let Some(database) = error.database {
            match database.code {
                Some(DatabaseCode::Sqlite(code)) => properties.push(own(env, "sqliteCode", code)?),
                Some(DatabaseCode::SqlState(code)) => properties.push(own(env, "sqlState", code)?),
                None => {}
            }
            properties.push(own(env, "cause", new_error(env, &database.message, false)?)?);
        }
        if let Some(cause) = cause {
            // SAFETY: the handle is of the call that is going on (see the field).
            let cause = unsafe { Unknown::from_raw_unchecked(env.raw(), cause) };
            properties.push(own(env, "cause", cause)?);
        }
        // Defined, not set: a setter that somebody put on `Object.prototype` must not run, or throw, here.
        Object::from_raw(env.raw(), object.raw()).define_properties(&properties)?;
        Ok(object)
    }

    /// The JavaScript error, to be thrown by a constructor.
    pub(super) fn into_exception(self, env: &Env) -> napi::Error {
        match self.into_js(env) {
            // Without coercion, which would follow `cause` wherever it leads, back to itself too.
            Ok(error) => napi::Error::from_unknown_without_coercion(error),
            Err(error) => error,
        }
    }
}

/// An `Error` or `TypeError` without a `code`: napi's own would set one, which a setter on `Object.prototype` can see.
fn new_error<'env>(env: &'env Env, message: &str, is_type_error: bool) -> Result<Unknown<'env>> {
    let message = env.create_string(message)?.raw();
    let create = if is_type_error {
        sys::napi_create_type_error
    } else {
        sys::napi_create_error
    };
    let mut error = ptr::null_mut();
    // SAFETY: on the JavaScript thread, with its environment; the message is a string of it, and no code is given.
    check_status!(unsafe { create(env.raw(), ptr::null_mut(), message, &raw mut error) })?;
    // SAFETY: the value was just made in this environment.
    Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), error) })
}

/// A property as a plain assignment makes it.
fn own<V: ToNapiValue>(env: &Env, name: &str, value: V) -> Result<Property> {
    Ok(Property::new()
        .with_utf8_name(name)?
        .with_napi_value(env, value)?
        .with_property_attributes(
            PropertyAttributes::Writable | PropertyAttributes::Enumerable | PropertyAttributes::Configurable,
        ))
}

/// Calls a JavaScript function with one argument. What it throws waits for [`Failure::thrown`].
///
/// Not by napi's own `Function::call`: that asks what was thrown for its text and its `cause`, which is the caller's code
/// again, and recurses until the stack is gone when that throws in turn, or when a `cause` leads back to itself.
pub(super) fn call(env: &Env, function: sys::napi_value, argument: sys::napi_value) -> Result<sys::napi_value> {
    let (mut this, mut result) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: on the JavaScript thread, with its environment; the pointer is valid for the call.
    check_status!(unsafe { sys::napi_get_undefined(env.raw(), &raw mut this) })?;
    // SAFETY: as above, and both values live as long as this call from JavaScript.
    check_status!(unsafe {
        sys::napi_call_function(env.raw(), this, function, 1, &raw const argument, &raw mut result)
    })?;
    Ok(result)
}
