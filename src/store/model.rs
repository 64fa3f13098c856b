//! Session records and events: from the JSON text that JavaScript hands over, to columns, and back to JSON text.
//!
//! Both backends use it. The store never interprets a payload: the values that only the SDK understands
//! (`payload`, `sessionInit`, `configOptions`, `modes`, and fields it does not know) stay the JSON text they came in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::error::{Quoted, StoreError};

/// The largest integer that a JavaScript number holds exactly, `Number.MAX_SAFE_INTEGER`.
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// The fields of a record that are columns.
const RECORD_FIELDS: [&str; 10] = [
    "id",
    "agent",
    "agentSessionId",
    "lastConnectionId",
    "createdAt",
    "destroyedAt",
    "sandboxId",
    "sessionInit",
    "configOptions",
    "modes",
];

/// The fields of an event that are columns.
const EVENT_FIELDS: [&str; 7] = [
    "id",
    "eventIndex",
    "sessionId",
    "createdAt",
    "connectionId",
    "sender",
    "payload",
];

/// One session, as the SDK's `SessionRecord`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord<'a> {
    /// The session's id.
    pub id: Cow<'a, str>,
    /// The agent's name, such as `claude`.
    pub agent: Cow<'a, str>,
    /// The agent's own id of the session.
    pub agent_session_id: Cow<'a, str>,
    /// The connection that used the session last.
    pub last_connection_id: Cow<'a, str>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970; absent while the session lives.
    pub destroyed_at: Option<i64>,
    /// `provider/raw-id` of the sandbox the session runs in.
    pub sandbox_id: Option<Cow<'a, str>>,
    /// JSON text.
    pub session_init: Option<Cow<'a, str>>,
    /// JSON text.
    pub config_options: Option<Cow<'a, str>>,
    /// JSON text; the text `null` is not the same as absent.
    pub modes: Option<Cow<'a, str>>,
    /// The fields that this release does not know, as the JSON text of one object.
    pub extra: Option<Cow<'a, str>>,
}

/// One event of a session, as the SDK's `SessionEvent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent<'a> {
    /// The event's id: two writes with one id at one place are the same event.
    pub id: Cow<'a, str>,
    /// The event's place in its session.
    pub event_index: i64,
    /// The session's id.
    pub session_id: Cow<'a, str>,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// The connection that carried the event.
    pub connection_id: Cow<'a, str>,
    /// `client` or `agent`.
    pub sender: Cow<'a, str>,
    /// JSON text.
    pub payload: Cow<'a, str>,
    /// The fields that this release does not know, as the JSON text of one object.
    pub extra: Option<Cow<'a, str>>,
}

impl<'a> SessionRecord<'a> {
    /// Reads the JSON text of a record.
    pub fn parse(text: &'a str) -> Result<Self, StoreError> {
        let mut fields = Fields::parse("session", text)?;
        let record = Self {
            id: fields.string("id")?,
            agent: fields.string("agent")?,
            agent_session_id: fields.string("agentSessionId")?,
            last_connection_id: fields.string("lastConnectionId")?,
            created_at: fields.integer("createdAt")?,
            destroyed_at: fields.optional("destroyedAt", Fields::integer)?,
            sandbox_id: fields.optional("sandboxId", Fields::string)?,
            session_init: fields.json("sessionInit"),
            config_options: fields.json("configOptions"),
            modes: fields.json("modes"),
            extra: fields.rest(),
        };
        Ok(record)
    }

    /// Appends the record's JSON text to `out`.
    pub fn write_json(&self, out: &mut String) {
        out.push_str(r#"{"id":"#);
        push_string(out, &self.id);
        out.push_str(r#","agent":"#);
        push_string(out, &self.agent);
        out.push_str(r#","agentSessionId":"#);
        push_string(out, &self.agent_session_id);
        out.push_str(r#","lastConnectionId":"#);
        push_string(out, &self.last_connection_id);
        out.push_str(r#","createdAt":"#);
        push_integer(out, self.created_at);
        if let Some(destroyed_at) = self.destroyed_at {
            out.push_str(r#","destroyedAt":"#);
            push_integer(out, destroyed_at);
        }
        if let Some(sandbox_id) = &self.sandbox_id {
            out.push_str(r#","sandboxId":"#);
            push_string(out, sandbox_id);
        }
        for (name, json) in [
            ("sessionInit", &self.session_init),
            ("configOptions", &self.config_options),
            ("modes", &self.modes),
        ] {
            if let Some(json) = json {
                out.push_str(",\"");
                out.push_str(name);
                out.push_str("\":");
                out.push_str(json);
            }
        }
        push_extra(out, self.extra.as_deref(), &RECORD_FIELDS);
        out.push('}');
    }
}

impl<'a> SessionEvent<'a> {
    /// Reads the JSON text of an event of session `session_id`.
    pub fn parse(session_id: &str, text: &'a str) -> Result<Self, StoreError> {
        let mut fields = Fields::parse("event", text)?;
        let event = Self {
            id: fields.string("id")?,
            event_index: fields.integer("eventIndex")?,
            session_id: fields.string("sessionId")?,
            created_at: fields.integer("createdAt")?,
            connection_id: fields.string("connectionId")?,
            sender: fields.string("sender")?,
            payload: fields
                .json("payload")
                .ok_or_else(|| fields.wrong("payload", "a JSON value", "nothing"))?,
            extra: fields.rest(),
        };
        if event.session_id != session_id {
            return Err(StoreError::invalid(format!(
                "event.sessionId is {}, but the event was given for session {}: they must be the same",
                Quoted(&event.session_id),
                Quoted(session_id)
            )));
        }
        if event.event_index < 0 {
            return Err(StoreError::invalid(format!(
                "event.eventIndex must not be negative, it is {}",
                event.event_index
            )));
        }
        if !matches!(&*event.sender, "client" | "agent") {
            return Err(StoreError::invalid("event.sender must be \"client\" or \"agent\""));
        }
        Ok(event)
    }

    /// Appends the event's JSON text to `out`.
    pub fn write_json(&self, out: &mut String) {
        out.push_str(r#"{"id":"#);
        push_string(out, &self.id);
        out.push_str(r#","eventIndex":"#);
        push_integer(out, self.event_index);
        out.push_str(r#","sessionId":"#);
        push_string(out, &self.session_id);
        out.push_str(r#","createdAt":"#);
        push_integer(out, self.created_at);
        out.push_str(r#","connectionId":"#);
        push_string(out, &self.connection_id);
        out.push_str(r#","sender":"#);
        push_string(out, &self.sender);
        out.push_str(r#","payload":"#);
        out.push_str(&self.payload);
        push_extra(out, self.extra.as_deref(), &EVENT_FIELDS);
        out.push('}');
    }
}

/// The JSON text in a column, if it is one JSON value: other programs write these tables too, and one broken row
/// must not break, or rewrite, the page around it.
#[must_use]
pub fn checked_json(text: &str) -> Option<&str> {
    serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get)
}

/// The number in a column, if a JavaScript number holds it exactly: another program may have written one that would come
/// out as its neighbour.
pub fn safe_integer(number: i64) -> Result<i64, Unsafe> {
    if (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&number) {
        Ok(number)
    } else {
        Err(Unsafe(number))
    }
}

/// What is wrong with a number in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("holds {0}, which is beyond Number.MAX_SAFE_INTEGER")]
pub struct Unsafe(i64);

/// The top-level fields of one JSON object, taken out one by one.
struct Fields<'a> {
    what: &'static str,
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    fn parse(what: &'static str, text: &'a str) -> Result<Self, StoreError> {
        let entries: Entries<'a> = serde_json::from_str(text).map_err(|_| {
            StoreError::invalid(format!(
                "the {what} must be an object whose field names are well-formed text"
            ))
        })?;
        Ok(Self {
            what,
            entries: entries.0,
        })
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let position = self.entries.iter().position(|(key, _)| key == name)?;
        Some(self.entries.remove(position).1)
    }

    fn json(&mut self, name: &str) -> Option<Cow<'a, str>> {
        self.take(name).map(|raw| Cow::Borrowed(raw.get()))
    }

    fn string(&mut self, name: &str) -> Result<Cow<'a, str>, StoreError> {
        let raw = self.take(name);
        raw.and_then(|raw| serde_json::from_str::<Text<'a>>(raw.get()).ok())
            .map(|text| text.0)
            .ok_or_else(|| match kind_of(raw) {
                "a string" => self.wrong(name, "well-formed Unicode", "a string with a lone surrogate"),
                kind => self.wrong(name, "a string", kind),
            })
    }

    fn integer(&mut self, name: &str) -> Result<i64, StoreError> {
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

    fn optional<V>(
        &mut self,
        name: &str,
        read: fn(&mut Self, &str) -> Result<V, StoreError>,
    ) -> Result<Option<V>, StoreError> {
        match self.entries.iter().position(|(key, _)| key == name) {
            None => Ok(None),
            Some(position) if self.entries[position].1.get() == "null" => {
                self.entries.remove(position);
                Ok(None)
            }
            Some(_) => read(self, name).map(Some),
        }
    }

    /// What has not been taken: the fields of a newer SDK, or the caller's own.
    fn rest(self) -> Option<Cow<'a, str>> {
        if self.entries.is_empty() {
            return None;
        }
        let mut out = String::from("{");
        for (position, (name, raw)) in self.entries.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            push_string(&mut out, name);
            out.push(':');
            out.push_str(raw.get());
        }
        out.push('}');
        Some(Cow::Owned(out))
    }

    fn wrong(&self, name: &str, wanted: &str, got: &str) -> StoreError {
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

struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(12);
                while let Some((name, raw)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    entries.push((name.0, raw));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// Appends `text` as a JSON string.
pub(super) fn push_string(out: &mut String, text: &str) {
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if text.bytes().any(needs_escape) {
        out.push_str(&serde_json::Value::from(text).to_string());
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
}

fn push_integer(out: &mut String, number: i64) {
    out.push_str(&number.to_string());
}

/// Appends the fields of a JSON object, but for those in `columns`: another program may have written such a one, and
/// whoever parses the text takes the last of two.
fn push_extra(out: &mut String, extra: Option<&str>, columns: &[&str]) {
    // What is not an object has no fields.
    let Some(Members(members)) = extra.and_then(|text| serde_json::from_str(text).ok()) else {
        return;
    };
    for (name, value) in members {
        // A name that is no well-formed text is none of ours.
        let read: Option<Text<'_>> = serde_json::from_str(name.get()).ok();
        if read.is_some_and(|Text(name)| columns.contains(&&*name)) {
            continue;
        }
        out.push(',');
        out.push_str(name.get());
        out.push(':');
        out.push_str(value.get());
    }
}

/// The fields of a JSON object, name and value as they are written.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"id":"e","eventIndex":1,"sessionId":"s","createdAt":2,"connectionId":"c","sender":"agent","payload":{"b":"\u0000\ud800","a":1e+21}}"#;

    #[test]
    fn an_event_keeps_its_payload_to_the_byte() {
        let mut out = String::new();
        SessionEvent::parse("s", EVENT).unwrap().write_json(&mut out);
        assert_eq!(out, EVENT);
    }

    #[test]
    fn fields_of_a_newer_sdk_are_kept_in_their_order() {
        let text = EVENT.replacen('{', r#"{"z\n":[1],"a":null,"#, 1);
        let mut out = String::new();
        SessionEvent::parse("s", &text).unwrap().write_json(&mut out);
        assert_eq!(
            out,
            EVENT.strip_suffix('}').unwrap().to_owned() + r#","z\n":[1],"a":null}"#
        );
    }

    #[test]
    fn a_message_never_shows_a_value() {
        let text = EVENT.replace("\"agent\"", "\"secret\"");
        let error = SessionEvent::parse("s", &text).unwrap_err();
        assert!(!error.message.contains("secret"), "{}", error.message);
    }

    #[test]
    fn only_whole_json_values_pass() {
        assert_eq!(checked_json(" {\"a\":1} "), Some("{\"a\":1}"));
        assert_eq!(checked_json("1,\"x\":2"), None);
        assert_eq!(checked_json(""), None);
    }
}
