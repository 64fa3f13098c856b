//! Reads labels from an object that the caller passes: those to set, and those that sessions are found by.

use std::collections::BTreeMap;

use napi::bindgen_prelude::{JsObjectValue, KeyCollectionMode, KeyConversion, KeyFilter, Unknown};
use napi::{Env, JsValue};

use super::arguments::{kind_of, object, string};
use super::error::Failure;
use crate::store::error::{Quoted, StoreError};
use crate::store::labels::{self, LabelChanges};

/// What is set and removed: an object of strings, and of nulls for what is removed. `undefined` changes nothing.
pub(super) fn changes(labels: Unknown<'_>) -> Result<LabelChanges, Failure> {
    let mut changes = LabelChanges::default();
    for (name, value) in entries("labels", labels)? {
        let value = match kind_of(&value) {
            "undefined" => continue,
            "null" => None,
            _ => Some(value_of("labels", &name, value)?),
        };
        changes.push(name, value)?;
    }
    Ok(changes)
}

/// What sessions are found by: an object of strings. `undefined` is wrong: whoever takes it for a value that is there would be
/// shown everybody's sessions.
pub(super) fn wanted(path: &str, labels: Unknown<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let mut wanted = BTreeMap::new();
    for (name, value) in entries(path, labels)? {
        let value = value_of(path, &name, value)?;
        wanted.insert(name, value);
    }
    labels::check_wanted(wanted.len())?;
    Ok(wanted)
}

/// The names in an object, and what it has for each.
fn entries<'env>(path: &str, labels: Unknown<'env>) -> Result<Vec<(String, Unknown<'env>)>, Failure> {
    let labels = object(path, labels)?;
    let threw = |what: &str| {
        let error = StoreError::invalid(format!("reading {what} threw (see `cause`)"));
        Failure::thrown(&Env::from_raw(labels.value().env), error)
    };
    let names_threw = |_| threw(&format!("the names of {path}"));
    let names = labels.get_all_property_names(
        KeyCollectionMode::OwnOnly,
        KeyFilter::SkipSymbols,
        KeyConversion::NumbersToStrings,
    );
    let names = names.map_err(names_threw)?;
    let positions = 0..names.get_array_length().map_err(names_threw)?;
    let entries = positions.map(|position| {
        let name: Unknown<'_> = names.get_element(position).map_err(names_threw)?;
        let text = string("the name of a label", name)?;
        let value = labels.get_property(name);
        let value = value.map_err(|_| threw(&format!("label {}", Quoted(&text))))?;
        Ok((text, value))
    });
    entries.collect()
}

fn value_of(path: &str, name: &str, value: Unknown<'_>) -> Result<String, Failure> {
    string(&format!("{path}[{}]", Quoted(name)), value)
}
