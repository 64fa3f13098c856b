//! Finds the text in a payload that is one piece of a streamed message. `join` calls it.
//!
//! The payload stays JSON text: what stands before and after the text is compared byte by byte, and texts are put together as they
//! are escaped. So half surrogates, numbers that no parser keeps and fields that nobody knows stay what they are.

use serde_json::value::RawValue;

use crate::store::model::{Entries, json_string};

/// The kinds of updates that agents send in pieces.
const KINDS: [&str; 3] = ["agent_message_chunk", "agent_thought_chunk", "user_message_chunk"];

/// The payload of one piece of a streamed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// What stands before the text, with its opening quote.
    pub(super) before: &'a str,
    /// The text, as it is escaped.
    pub(super) text: &'a str,
    /// What stands after the text, with its closing quote.
    pub(super) after: &'a str,
}

impl<'a> Chunk<'a> {
    /// The chunk that this JSON text is, if it is one and has each field that matters once.
    pub(super) fn read(payload: &'a str) -> Option<Self> {
        let message = Object::read(payload)?;
        if message.has("id")? || message.string("method")? != "session/update" {
            return None;
        }
        let update = Object::read(Object::read(message.value("params")?)?.value("update")?)?;
        if !KINDS.contains(&&*update.string("sessionUpdate")?) {
            return None;
        }
        let content = Object::read(update.value("content")?)?;
        if content.string("type")? != "text" {
            return None;
        }
        let text = content.value("text")?.strip_prefix('"')?.strip_suffix('"')?;
        // It is a part of the payload, and so are the quotes around it.
        let start = text.as_ptr() as usize - payload.as_ptr() as usize;
        let (before, rest) = payload.split_at_checked(start)?;
        let (text, after) = rest.split_at_checked(text.len())?;
        Some(Self { before, text, after })
    }

    /// The same for a payload that most likely differs from another one in its text alone. It is quick where the text is plain.
    pub(super) fn read_like(payload: &'a str, before: &str, after: &str) -> Option<Self> {
        let text = payload
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .filter(|text| text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\'));
        match text {
            Some(text) => Some(Self {
                before: &payload[..before.len()],
                text,
                after: &payload[before.len() + text.len()..],
            }),
            None => Self::read(payload),
        }
    }
}

/// The fields of a JSON object.
struct Object<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'a> Object<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let Entries(entries) = serde_json::from_str::<Entries<'a, &RawValue>>(text).ok()?;
        Some(Self(entries))
    }

    /// Whether there is a field of this name; nothing, if there are two.
    fn has(&self, name: &str) -> Option<bool> {
        match self.values(name).as_slice() {
            [] => Some(false),
            [_] => Some(true),
            _ => None,
        }
    }

    /// The JSON text of the one field of this name.
    fn value(&self, name: &str) -> Option<&'a str> {
        match self.values(name).as_slice() {
            [value] => Some(value.get()),
            _ => None,
        }
    }

    fn string(&self, name: &str) -> Option<std::borrow::Cow<'a, str>> {
        match self.values(name).as_slice() {
            [value] => json_string(value),
            _ => None,
        }
    }

    fn values(&self, name: &str) -> Vec<&'a RawValue> {
        let named = self
            .0
            .iter()
            .filter(|(key, _)| json_string(key).is_some_and(|key| key == name));
        named.map(|(_, value)| *value).collect()
    }
}
