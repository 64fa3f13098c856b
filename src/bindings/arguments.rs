//! Checks what the caller passes to the methods, and turns records and events into JSON text.

use napi::bindgen_prelude::{FromNapiValue, JsObjectValue, Object, Unknown, Utf16String};
use napi::{Env, JsValue, ValueType};

use super::error::Failure;
use super::realm::Realm;
use crate::store::error::StoreError;

/// The JSON text of a record or event, as it is at this moment.
pub(super) fn json_text(
    env: &Env,
    realm: &Realm,
    what: &str,
    value: Unknown<'_>,
) -> std::result::Result<String, Failure> {
    object(what, value)?;
    match realm.stringify(env, value) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(StoreError::invalid(format!("{what} has a toJSON that returns nothing")).into()),
        Err(_) => {
            let error = StoreError::invalid(format!(
                "{what} cannot be turned into JSON text (see `cause`): it may hold itself, a BigInt, a toJSON that throws, \
                 or be nested too deeply"
            ));
            Err(Failure::thrown(env, error))
        }
    }
}

/// A string argument.
pub(super) fn string(what: &str, value: Unknown<'_>) -> std::result::Result<String, Failure> {
    let text: Utf16String = read(&value, ValueType::String).ok_or_else(|| wrong(what, "a string", &value))?;
    // Strictly, since a lossy text would name another session, or another file.
    String::from_utf16(&text).map_err(|_| {
        StoreError::invalid(format!(
            "{what} must be well-formed Unicode, it is a string with a lone surrogate"
        ))
        .into()
    })
}

/// An object argument.
pub(super) fn object<'env>(what: &str, value: Unknown<'env>) -> std::result::Result<Object<'env>, Failure> {
    match kind_of(&value) {
        "an object" => Ok(Object::from_raw(value.value().env, value.raw())),
        _ => Err(wrong(what, "an object", &value)),
    }
}

/// A field of an object.
pub(super) fn field<'env>(object: &Object<'env>, name: &str) -> std::result::Result<Unknown<'env>, Failure> {
    object.get_named_property(name).map_err(|_| {
        let error = StoreError::invalid(format!("reading the field {name} threw (see `cause`)"));
        Failure::thrown(&Env::from_raw(object.value().env), error)
    })
}

/// The value as a Rust type, if it is of the JavaScript type that `V` is made from.
pub(super) fn read<V: FromNapiValue>(value: &Unknown<'_>, wanted: ValueType) -> Option<V> {
    if value.get_type().ok()? != wanted {
        return None;
    }
    // SAFETY: the value has the JavaScript type that every caller names beside `V`.
    unsafe { value.cast() }.ok()
}

/// The error for an argument of the wrong kind.
pub(super) fn wrong(what: &str, wanted: &str, value: &Unknown<'_>) -> Failure {
    StoreError::invalid(format!("{what} must be {wanted}, it is {}", kind_of(value))).into()
}

pub(super) fn kind_of(value: &Unknown<'_>) -> &'static str {
    match value.get_type() {
        Ok(ValueType::Undefined) => "undefined",
        Ok(ValueType::Null) => "null",
        Ok(ValueType::Boolean) => "a boolean",
        Ok(ValueType::Number) => "a number",
        Ok(ValueType::String) => "a string",
        Ok(ValueType::Symbol) => "a symbol",
        Ok(ValueType::BigInt) => "a BigInt",
        Ok(ValueType::Function) => "a function",
        Ok(ValueType::Object) if value.is_array().unwrap_or(false) => "an array",
        Ok(ValueType::Object) => "an object",
        _ => "something else",
    }
}
