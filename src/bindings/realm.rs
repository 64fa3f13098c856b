//! What the native code uses of the JavaScript realm that loaded the package: its `JSON`, its errors, and its turns.
//!
//! A test runner may run each test file in a realm of its own (Jest, vitest's `vmThreads`), whose `TypeError` is not that
//! of the realm that Node-API makes errors in. So `lib` hands over the functions, and values are made by them alone.

use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, Function, FunctionRef, JsObjectValue, JsValue, Object, Unknown};
use napi::{Env, Property, PropertyAttributes, Result, check_status, sys};
use serde::Serialize;

/// The realm's functions, as `lib/realm.ts` collects them.
pub(super) struct Realm {
    stringify: Kept,
    parse: Kept,
    create_error: Kept,
    database_error: Kept,
    ask_password: Kept,
    failure_of: Kept,
    forget_failure: Kept,
    set_immediate: Kept,
    send_after_turn: Kept,
    publish: Kept,
}

/// A function that is kept for later calls. These go through [`call`], which takes and gives values of any type.
type Kept = FunctionRef<(), ()>;

/// What [`Realm::create_error`] makes an error of.
pub(super) struct ErrorParts<'a> {
    pub(super) code: &'a str,
    pub(super) message: &'a str,
    /// The database's own message.
    pub(super) database_message: Option<&'a str>,
    pub(super) sqlite_code: Option<&'a str>,
    pub(super) sql_state: Option<&'a str>,
    /// What the caller's own code threw.
    pub(super) thrown: Option<sys::napi_value>,
}

impl Realm {
    pub(super) fn of(functions: &Object<'_>) -> Result<Self> {
        let keep = |name| functions.get_named_property::<Function<'_, (), ()>>(name)?.create_ref();
        Ok(Self {
            stringify: keep("stringify")?,
            parse: keep("parse")?,
            create_error: keep("createError")?,
            database_error: keep("databaseError")?,
            ask_password: keep("askPassword")?,
            failure_of: keep("failureOf")?,
            forget_failure: keep("forgetFailure")?,
            set_immediate: keep("setImmediate")?,
            send_after_turn: keep("sendAfterTurn")?,
            publish: keep("publish")?,
        })
    }

    /// The value's JSON text, if it has one. What it throws waits for [`super::error::Failure::thrown`].
    pub(super) fn stringify(&self, env: &Env, value: Unknown<'_>) -> Result<Option<String>> {
        let text = call(env, self.stringify.borrow_back(env)?.raw(), &[value.raw()])?;
        // SAFETY: the value was just made in this environment; the conversion checks its type.
        unsafe { Option::<String>::from_napi_value(env.raw(), text) }
    }

    /// The value of a JSON text.
    pub(super) fn parse(&self, env: &Env, text: &str) -> Result<sys::napi_value> {
        let text = env.create_string(text)?;
        call(env, self.parse.borrow_back(env)?.raw(), &[text.raw()])
    }

    /// Calls the caller's `function`, and `settle` with what comes of it.
    pub(super) fn ask_password(&self, env: &Env, function: sys::napi_value, settle: sys::napi_value) -> Result<()> {
        call(env, self.ask_password.borrow_back(env)?.raw(), &[function, settle]).map(drop)
    }

    /// What a caller's function failed with, by its number.
    pub(super) fn failure_of(&self, env: &Env, number: u32) -> Result<sys::napi_value> {
        let number = env.create_uint32(number)?.raw();
        call(env, self.failure_of.borrow_back(env)?.raw(), &[number])
    }

    pub(super) fn forget_failure(&self, env: &Env, number: u32) -> Result<()> {
        let number = env.create_uint32(number)?.raw();
        call(env, self.forget_failure.borrow_back(env)?.raw(), &[number]).map(drop)
    }

    /// Calls `function` in the next turn of the event loop.
    pub(super) fn set_immediate(&self, env: &Env, function: sys::napi_value) -> Result<()> {
        call(env, self.set_immediate.borrow_back(env)?.raw(), &[function]).map(drop)
    }

    /// Calls the driver's `send` at the end of this turn.
    pub(super) fn send_after_turn(&self, env: &Env, driver: &Object<'_>) -> Result<()> {
        call(env, self.send_after_turn.borrow_back(env)?.raw(), &[driver.raw()]).map(drop)
    }

    /// Sends what happened in a store on the channels: `told` is the JSON text of both.
    pub(super) fn publish(&self, env: &Env, told: &str) -> Result<()> {
        let told = self.parse(env, told)?;
        call(env, self.publish.borrow_back(env)?.raw(), &[told]).map(drop)
    }

    pub(super) fn create_error<'env>(&self, env: &'env Env, parts: &ErrorParts<'_>) -> Result<Unknown<'env>> {
        let string = |text: &str| env.create_string(text).map(|text| text.raw());
        let cause = match (parts.thrown, parts.database_message) {
            (None, Some(message)) => Some(call(
                env,
                self.database_error.borrow_back(env)?.raw(),
                &[string(message)?],
            )?),
            (thrown, _) => thrown,
        };
        let mut details = Object::new(env)?;
        for (name, value) in [
            ("sqliteCode", parts.sqlite_code.map(string).transpose()?),
            ("sqlState", parts.sql_state.map(string).transpose()?),
            ("cause", cause),
        ] {
            let Some(value) = value else { continue };
            // SAFETY: the value is of this environment.
            let value = unsafe { Unknown::from_raw_unchecked(env.raw(), value) };
            let detail = Property::new().with_utf8_name(name)?.with_value(&value);
            // Defined, not set: a setter on `Object.prototype` is the caller's code.
            details.define_properties(&[detail.with_property_attributes(PropertyAttributes::Enumerable)])?;
        }
        let arguments = [string(parts.code)?, string(parts.message)?, details.raw()];
        let error = call(env, self.create_error.borrow_back(env)?.raw(), &arguments)?;
        // SAFETY: the value was just made in this environment.
        Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), error) })
    }
}

pub(super) fn undefined(env: &Env) -> Result<sys::napi_value> {
    let mut undefined = ptr::null_mut();
    // SAFETY: on the JavaScript thread, with its environment; the pointer is valid for the call.
    check_status!(unsafe { sys::napi_get_undefined(env.raw(), &raw mut undefined) })?;
    Ok(undefined)
}

/// The JSON text of what `lib` knows the type of.
pub(super) fn json_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| napi::Error::from_reason(error.to_string()))
}

/// Calls a JavaScript function. What it throws waits for [`super::error::Failure::thrown`].
///
/// Not by napi's own `Function::call`: that asks what was thrown for its text and its `cause`, which is the caller's code
/// again, and recurses until the stack is gone when that throws in turn, or when a `cause` leads back to itself.
fn call(env: &Env, function: sys::napi_value, arguments: &[sys::napi_value]) -> Result<sys::napi_value> {
    let this = undefined(env)?;
    let mut result = ptr::null_mut();
    // SAFETY: on the JavaScript thread, with its environment; all values are of the handle scope that is open.
    check_status!(unsafe {
        sys::napi_call_function(
            env.raw(),
            this,
            function,
            arguments.len(),
            arguments.as_ptr(),
            &raw mut result,
        )
    })?;
    Ok(result)
}
