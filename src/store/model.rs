//! Session records and events: from the JSON text that JavaScript hands over, to columns, and back to JSON text.
//!
//! Both backends use it. Of a payload it reads the method, when somebody asks for one; what it says reads `transcript`. The values that only the SDK understands
//! (`payload`, `sessionInit`, `configOptions`, `modes`, and fields it does not know) stay the JSON text they came in.

mod json;

use std::borrow::Cow;

use thiserror::Error;

pub use self::json::checked_json;
pub(super) use self::json::{Entries, json_string, push_string};
use self::json::{Fields, push_extra, push_integer, string_field};
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

    /// The method of the JSON-RPC message that the payload is, if it is one with a method. Of what else a payload
    /// says `transcript` alone knows.
    #[must_use]
    pub fn method(&self) -> Option<Cow<'_, str>> {
        string_field(&self.payload, "method")
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

/// The number in a column, if a JavaScript number holds it exactly: another program may have written one that would come
/// out as its neighbour.
pub fn safe_integer(number: i64) -> Result<i64, UnsafeInteger> {
    if (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&number) {
        Ok(number)
    } else {
        Err(UnsafeInteger(number))
    }
}

/// What is wrong with a number in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("holds {0}, which is beyond Number.MAX_SAFE_INTEGER")]
pub struct UnsafeInteger(i64);

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
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
