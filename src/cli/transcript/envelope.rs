//! The JSON-RPC message that an event is.

use serde_json::Value;

use crate::store::model::SessionEvent;

/// A message, and where it stands.
pub(super) struct Envelope {
    /// The event's index in its session.
    pub(super) index: i64,
    /// When the event was made, in milliseconds since 1970.
    pub(super) created_at: i64,
    pub(super) sender: Sender,
    pub(super) connection_id: String,
    pub(super) body: Body,
}

/// Who has sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sender {
    Client,
    Agent,
}

/// What it is.
pub(super) enum Body {
    /// It asks for something, if it has an id, or tells something.
    Call {
        id: Option<String>,
        method: String,
        params: Value,
    },
    /// It answers what was asked with that id.
    Result { id: String, result: Value },
    /// The same, when that has failed.
    Error {
        id: String,
        code: Option<i64>,
        message: String,
    },
    /// It is no JSON-RPC; the JSON text.
    Unknown(String),
}

impl Sender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Agent => "agent",
        }
    }

    /// Who answers it.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Agent,
            Self::Agent => Self::Client,
        }
    }
}

impl Envelope {
    pub(super) fn read(event: &SessionEvent<'_>) -> Self {
        Self {
            index: event.event_index,
            created_at: event.created_at,
            sender: if event.sender == "client" {
                Sender::Client
            } else {
                Sender::Agent
            },
            connection_id: event.connection_id.to_string(),
            body: read(&event.payload).unwrap_or_else(|| Body::Unknown(event.payload.to_string())),
        }
    }
}

fn read(payload: &str) -> Option<Body> {
    let Value::Object(mut fields) = json(payload)? else {
        return None;
    };
    let id = fields.get("id").filter(|id| !id.is_null()).map(Value::to_string);
    if let Some(Value::String(method)) = fields.remove("method") {
        let params = fields.remove("params").unwrap_or_default();
        return Some(Body::Call { id, method, params });
    }
    let id = id?;
    if let Some(error) = fields.remove("error") {
        return Some(Body::Error {
            id,
            code: error.get("code").and_then(Value::as_i64),
            message: string(&error, "message").unwrap_or("no message").to_owned(),
        });
    }
    fields.remove("result").map(|result| Body::Result { id, result })
}

/// The value of a JSON text. Halves of surrogate pairs, which a text of JavaScript may be cut into, are read as U+FFFD.
fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text)
        .ok()
        .or_else(|| serde_json::from_str(&without_halves(text)).ok())
}

fn without_halves(text: &str) -> String {
    let unit = |text: &str| {
        let digits = text.strip_prefix(r"\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\\') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let next = rest.get(6..).and_then(unit);
        let (kept, length) = match unit(rest) {
            Some(0xd800..=0xdbff) if matches!(next, Some(0xdc00..=0xdfff)) => (rest.get(..12), 12),
            Some(0xd800..=0xdfff) => (Some(r"\ufffd"), 6),
            Some(_) => (rest.get(..6), 6),
            None => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                (rest.get(..length), length)
            }
        };
        out.push_str(kept.unwrap_or_default());
        rest = rest.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The text in a field of an object.
pub(super) fn string<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// The items in a field of an object; none where there is no list.
pub(super) fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
