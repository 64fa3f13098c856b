//! What the store's answers become: the value that a promise resolves to, and the index that an event shows. `promises` settles with
//! it.

use napi::bindgen_prelude::{JsObjectValue, ObjectRef, ToNapiValue, Unknown};
use napi::{Env, ValueType, sys};

use super::arguments;
use super::error::Failure;
use super::realm::{Realm, json_text, undefined};
use crate::store::Answer;
use crate::store::error::{ErrorKind, StoreError};

/// The value that an answer of the store resolves its promise to.
pub(super) fn value_of(
    env: &Env,
    realm: &Realm,
    answer: Answer,
    event: Option<&ObjectRef<false>>,
) -> std::result::Result<sys::napi_value, Failure> {
    let value = match answer {
        // Answers to jobs do not come here.
        Answer::Done | Answer::Absent | Answer::OfJob(_) => undefined(env),
        Answer::Reassigned(index) => {
            if let Some(event) = event {
                show_index(env, event, index)?;
            }
            undefined(env)
        }
        // SAFETY: on the JavaScript thread, with its environment.
        Answer::Deleted(found) => unsafe { bool::to_napi_value(env.raw(), found) },
        Answer::Json(text) => realm.parse(env, &text),
        Answer::Measured(size) => json_text(&size).and_then(|text| realm.parse(env, &text)),
        Answer::Events(text) => realm.parse(env, &text),
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
pub(super) fn show_index(env: &Env, event: &ObjectRef<false>, index: i64) -> std::result::Result<(), Failure> {
    let refused = || {
        StoreError::new(
            ErrorKind::IndexConflict,
            format!(
                "the event is stored at index {index}, since its own was taken or lies before an earlier event that was \
                 moved, but `eventIndex` of the object that was passed cannot be set: pass events that are not frozen"
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
