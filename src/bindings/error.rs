//! A [`StoreError`] as a JavaScript error: `code`, `sqliteCode` and `cause`. The one place where errors cross over.

use napi::bindgen_prelude::{JsObjectValue, Object, Unknown};
use napi::{Env, JsError, JsTypeError, JsValue, Result, Status};

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
            Ok(error) => napi::Error::from(error),
            Err(error) => error,
        }
    }
}
