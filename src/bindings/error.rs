//! A [`StoreError`] as a JavaScript error. The one place where errors cross over.

use std::ptr;

use napi::bindgen_prelude::Unknown;
use napi::{Env, Result, sys};

use super::option_names;
use super::realm::{ErrorParts, Realm};
use crate::store::error::{DatabaseCode, StoreError};

/// A failed call: what the store says of it, and what the caller's own code threw, if that caused it.
pub(super) struct Failure {
    error: StoreError,
    /// A handle of the call from JavaScript that is going on, in which a failure is made and used up.
    thrown: Option<sys::napi_value>,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, thrown: None }
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
            thrown: taken.then_some(exception),
        }
    }

    /// The JavaScript error.
    pub(super) fn into_js<'env>(self, env: &'env Env, realm: &Realm) -> Result<Unknown<'env>> {
        let Self { error, thrown } = self;
        let thrown = match &error.caller {
            Some(failure) => Some(realm.failure_of(env, failure.number())?),
            None => thrown,
        };
        let database = error.database.as_ref();
        let (sqlite_code, sql_state) = match database.and_then(|database| database.code.as_ref()) {
            Some(DatabaseCode::Sqlite(code)) => (Some(*code), None),
            Some(DatabaseCode::SqlState(code)) => (None, Some(code.as_str())),
            None => (None, None),
        };
        let parts = ErrorParts {
            code: error.kind.code(),
            message: &error.message.text(option_names::name),
            database_message: database.map(|database| database.message.as_str()),
            sqlite_code,
            sql_state,
            thrown,
        };
        realm.create_error(env, &parts)
    }

    /// The JavaScript error, to be thrown by a constructor.
    pub(super) fn into_exception(self, env: &Env, realm: &Realm) -> napi::Error {
        match self.into_js(env, realm) {
            // Without coercion, which would follow `cause` wherever it leads, back to itself too.
            Ok(error) => napi::Error::from_unknown_without_coercion(error),
            Err(error) => error,
        }
    }
}
