//! Labels of sessions: what a change to them may be, and their JSON text. Both backends use it, and `bindings` makes changes.

use std::collections::BTreeMap;

use super::error::{Quoted, StoreError};
use super::model::push_string;

/// How many labels a session may have. A fork has two more than its source.
const MAX_LABELS: i64 = 64;

/// How many one call may set and remove: enough to replace all.
const MAX_CHANGES: usize = 256;

/// How long a label's name may be, in bytes of UTF-8.
const MAX_NAME_BYTES: usize = 128;

/// How long a label's value may be, in bytes of UTF-8.
pub const MAX_VALUE_BYTES: usize = 1024;

/// What is set and removed, by name; a name without a value is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelChanges(BTreeMap<String, Option<String>>);

impl LabelChanges {
    /// Adds a change, if the name and the value may be a label's.
    pub fn push(&mut self, name: String, value: Option<String>) -> Result<(), StoreError> {
        check(&name, value.as_deref())?;
        self.0.insert(name, value);
        if self.0.len() > MAX_CHANGES {
            return Err(StoreError::invalid(format!(
                "one call may change {MAX_CHANGES} labels, and a session has {MAX_LABELS} at most"
            )));
        }
        Ok(())
    }

    /// Whether nothing is set or removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is set: names and values.
    pub fn set(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
    }

    /// The names that are removed.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        let removed = self.0.iter().filter(|(_, value)| value.is_none());
        removed.map(|(name, _)| name.as_str())
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let bytes = |(name, value): (&String, &Option<String>)| name.len() + value.as_ref().map_or(0, String::len);
        self.0.iter().map(bytes).sum()
    }
}

/// Refuses what cannot be a label's name and value. A message shows the name, and never the value.
pub fn check(name: &str, value: Option<&str>) -> Result<(), StoreError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
        return Err(StoreError::invalid(format!(
            "a label's name must have 1 to {MAX_NAME_BYTES} bytes, and no U+0000; {} has {}",
            Quoted(name),
            name.len()
        )));
    }
    let Some(value) = value else {
        return Ok(());
    };
    if value.len() > MAX_VALUE_BYTES || value.contains('\0') {
        return Err(StoreError::invalid(format!(
            "the value of label {} must have at most {MAX_VALUE_BYTES} bytes, and no U+0000; it has {}",
            Quoted(name),
            value.len()
        )));
    }
    Ok(())
}

/// Refuses to look for sessions with more labels than any has.
pub fn check_wanted(labels: usize) -> Result<(), StoreError> {
    if i64::try_from(labels).is_ok_and(|labels| labels <= MAX_LABELS) {
        return Ok(());
    }
    Err(StoreError::invalid(format!(
        "sessions can be found by {MAX_LABELS} labels at most, which is what a session may have; there are {labels}"
    )))
}

/// Refuses a change after which a session has more labels than before, and too many.
pub fn check_count(session_id: &str, before: i64, after: i64) -> Result<(), StoreError> {
    if after > MAX_LABELS && after > before {
        return Err(StoreError::invalid(format!(
            "session {} would have {after} labels, and may have {MAX_LABELS}: remove some",
            Quoted(session_id)
        )));
    }
    Ok(())
}

/// The JSON text of an object of labels. A `__proto__` in it is a name like any other once it is parsed.
#[must_use]
pub fn json<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("{");
    for (name, value) in labels {
        if text.len() > 1 {
            text.push(',');
        }
        push_string(&mut text, name);
        text.push(':');
        push_string(&mut text, value);
    }
    text.push('}');
    text
}
