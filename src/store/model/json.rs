//! JSON text: the fields of an object, taken out one by one, and what is put into the text of another.
//!
//! Values stay the text that they are written in.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::safe_integer;
use crate::store::error::StoreError;

/// The JSON text in a column, if it is one JSON value: other programs write these tables too, and one broken row
/// must not break, or rewrite, the page around it.
#[must_use]
pub fn checked_json(text: &str) -> Option<&str> {
    serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
}

/// The text that a field of a JSON object holds, as `JSON.parse` reads it: the last of two with one name counts. None if
/// the JSON text is of no object, or the field of no well-formed text.
pub(super) fn string_field<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let Entries(fields) = serde_json::from_str::<Entries<'a, &RawValue>>(text).ok()?;
    let (_, value) = fields
        .into_iter()
        .rfind(|(key, _)| json_string(key).is_some_and(|key| key == name))?;
    json_string(value)
}

/// The text that a JSON string stands for, if it is one and the text is well formed.
pub(in crate::store) fn json_string(json: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(json.get()).ok().map(|Text(text)| text)
}

/// The top-level fields of one JSON object, taken out one by one.
pub(super) struct Fields<'a> {
    what: &'static str,
    entries: Vec<(Text<'a>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    pub(super) fn parse(what: &'static str, text: &'a str) -> Result<Self, StoreError> {
        let Entries(entries) = serde_json::from_str(text).map_err(|_| {
            StoreError::invalid(format!(
                "the {what} must be an object whose field names are well-formed text"
            ))
        })?;
        Ok(Self { what, entries })
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let position = self.entries.iter().position(|(key, _)| key.0 == name)?;
        Some(self.entries.remove(position).1)
    }

    pub(super) fn json(&mut self, name: &str) -> Option<Cow<'a, str>> {
        self.take(name).map(|raw| Cow::Borrowed(raw.get()))
    }

    pub(super) fn string(&mut self, name: &str) -> Result<Cow<'a, str>, StoreError> {
        let raw = self.take(name);
        raw.and_then(json_string).ok_or_else(|| match kind_of(raw) {
            "a string" => self.wrong(name, "well-formed Unicode", "a string with a lone surrogate"),
            kind => self.wrong(name, "a string", kind),
        })
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<i64, StoreError> {
        let raw = self.take(name);
        raw.and_then(|raw| raw.get().parse::<i64>().ok())
            .and_then(|number| safe_integer(number).ok())
            .ok_or_else(|| match kind_of(raw) {
                "a number" => self.wrong(
                    name,
                    "an integer no larger than Number.MAX_SAFE_INTEGER",
                    "another number",
                ),
                kind => self.wrong(name, "an integer", kind),
            })
    }

    pub(super) fn optional<V>(
        &mut self,
        name: &str,
        read: fn(&mut Self, &str) -> Result<V, StoreError>,
    ) -> Result<Option<V>, StoreError> {
        match self.entries.iter().position(|(key, _)| key.0 == name) {
            None => Ok(None),
            Some(position) if self.entries[position].1.get() == "null" => {
                self.entries.remove(position);
                Ok(None)
            }
            Some(_) => read(self, name).map(Some),
        }
    }

    /// What has not been taken: the fields of a newer SDK, or the caller's own.
    pub(super) fn rest(self) -> Option<Cow<'a, str>> {
        if self.entries.is_empty() {
            return None;
        }
        let mut out = String::from("{");
        for (position, (name, raw)) in self.entries.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            push_string(&mut out, &name.0);
            out.push(':');
            out.push_str(raw.get());
        }
        out.push('}');
        Some(Cow::Owned(out))
    }

    pub(super) fn wrong(&self, name: &str, wanted: &str, got: &str) -> StoreError {
        StoreError::invalid(format!("{}.{name} must be {wanted}, it is {got}", self.what))
    }
}

/// Names the kind of a JSON value, without showing the value.
fn kind_of(raw: Option<&RawValue>) -> &'static str {
    match raw.and_then(|raw| raw.get().bytes().next()) {
        None => "missing",
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null (or a number that is not finite)",
        Some(_) => "a number",
    }
}

struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The fields of a JSON object, in their order: names as `N` reads them, values as they are written.
pub(in crate::store) struct Entries<'a, N>(pub(in crate::store) Vec<(N, &'a RawValue)>);

impl<'de, N: Deserialize<'de>> Deserialize<'de> for Entries<'de, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<N>(PhantomData<N>);
        impl<'de, N: Deserialize<'de>> Visitor<'de> for EntriesVisitor<N> {
            type Value = Entries<'de, N>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(12);
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

/// Appends `text` as a JSON string.
pub(in crate::store) fn push_string(out: &mut String, text: &str) {
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if text.bytes().any(needs_escape) {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}

pub(super) fn push_integer(out: &mut String, number: i64) {
    out.push_str(&number.to_string());
}

/// Appends the fields of a JSON object, but for those in `columns`: another program may have written such a one, and
/// whoever parses the text takes the last of two.
pub(super) fn push_extra(out: &mut String, extra: Option<&str>, columns: &[&str]) {
    // What is not an object has no fields.
    let Some(Entries(fields)) = extra.and_then(|text| serde_json::from_str::<Entries<'_, &RawValue>>(text).ok()) else {
        return;
    };
    for (name, value) in fields {
        // A name that is no well-formed text is none of ours.
        if json_string(name).is_some_and(|name| columns.contains(&&*name)) {
            continue;
        }
        out.push(',');
        out.push_str(name.get());
        out.push(':');
        out.push_str(value.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_json_values_pass() {
        assert_eq!(checked_json(" {\"a\":1} "), Some("{\"a\":1}"));
        assert_eq!(checked_json("1,\"x\":2"), None);
        assert_eq!(checked_json(""), None);
    }

    #[test]
    fn a_field_is_read_as_json_parse_does() {
        let method = |text| string_field(text, "method");
        for (text, expected) in [
            (r#"{"method":"a/b"}"#, Some("a/b")),
            (r#" { "id" : 1 , "m\u0065thod" : "a\/\u0062" } "#, Some("a/b")),
            (r#"{"method":"first","method":"last"}"#, Some("last")),
            (r#"{"method":"first","method":1}"#, None),
            (r#"{"method":"a\u0000b","x":"\ud800","\ud800":1}"#, Some("a\0b")),
            (r#"{"method":"\ud83d\ude00"}"#, Some("😀")),
            (r#"{"method":"a\ud800"}"#, None),
            (r#"{"params":{"method":"deep"}}"#, None),
            (r#"["method","a"]"#, None),
            (r#""method""#, None),
            ("null", None),
            (r#"{"method":"a"} x"#, None),
        ] {
            assert_eq!(method(text).as_deref(), expected, "{text}");
        }
    }
}
