//! Reads labels from an object that the caller passes.

use napi::bindgen_prelude::{JsObjectValue, KeyCollectionMode, KeyConversion, KeyFilter, Unknown};
use napi::{Env, JsValue};

use super::arguments::{kind_of, object, string};
use super::error::Failure;
use crate::store::error::{Quoted, StoreError};
use crate::store::labels::LabelChanges;

/// What is set and removed: an object of strings, and of nulls for what is removed. `undefined` changes nothing.
pub(super) fn changes(labels: Unknown<'_>) -> Result<LabelChanges, Failure> {
    let labels = object("labels", labels)?;
    let threw = |what: &str| {
        let error = StoreError::invalid(format!("reading {what} threw (see `cause`)"));
        Failure::thrown(&Env::from_raw(labels.value().env), error)
    };
    let names_threw = |_| threw("the names of labels");
    let names = labels.get_all_property_names(
        KeyCollectionMode::OwnOnly,
        KeyFilter::SkipSymbols,
        KeyConversion::NumbersToStrings,
    );
    let names = names.map_err(names_threw)?;
    let mut changes = LabelChanges::default();
    for position in 0..names.get_array_length().map_err(names_threw)? {
        let name: Unknown<'_> = names.get_element(position).map_err(names_threw)?;
        let text = string("the name of a label", name)?;
        let value: Unknown<'_> = labels
            .get_property(name)
            .map_err(|_| threw(&format!("label {}", Quoted(&text))))?;
        let value = match kind_of(&value) {
            "undefined" => continue,
            "null" => None,
            _ => Some(string(&format!("labels[{}]", Quoted(&text)), value)?),
        };
        changes.push(text, value)?;
    }
    Ok(changes)
}
