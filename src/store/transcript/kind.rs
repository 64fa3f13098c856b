//! Of which kind the message is that an event carries, told by one look at the event's JSON text: nothing of it is kept or built.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::store::model::json_string;

/// What a look at an event has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance<'a> {
    /// When it was made, in milliseconds since 1970.
    pub created_at: Option<i64>,
    /// Of which kind its message is.
    pub kind: Kind<'a>,
}

/// The kind of a JSON-RPC message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A `session/update`, of this kind: `agent_message_chunk`, `tool_call`.
    Update(Cow<'a, str>),
    /// Another request or notification, with this method.
    Method(Cow<'a, str>),
    /// The answer to a request.
    Answer,
    /// An answer that says that the request has failed.
    ErrorAnswer,
    /// It is no JSON-RPC message.
    Unknown,
}

impl<'a> Glance<'a> {
    /// Looks at the JSON text of an event.
    #[must_use]
    pub fn at(event: &'a str) -> Self {
        let mut found = Found::default();
        let mut deserializer = serde_json::Deserializer::from_str(event);
        let look = Look {
            level: Level::Event,
            found: &mut found,
        };
        // Of a text that is broken, what was found before counts.
        let _ = look.deserialize(&mut deserializer);
        Self {
            created_at: found.created_at.and_then(|time| time.get().parse().ok()),
            kind: found.kind(),
        }
    }
}

/// What was come across.
#[derive(Default)]
struct Found<'a> {
    created_at: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    update: Option<&'a RawValue>,
    has_result: bool,
    has_error: bool,
}

impl<'a> Found<'a> {
    fn kind(self) -> Kind<'a> {
        let update = self.update.and_then(json_string);
        match (self.method.and_then(json_string), update) {
            (Some(method), Some(update)) if method == "session/update" => Kind::Update(update),
            (Some(method), _) => Kind::Method(method),
            (None, _) if self.has_error => Kind::ErrorAnswer,
            (None, _) if self.has_result => Kind::Answer,
            (None, _) => Kind::Unknown,
        }
    }
}

/// Which object is being read.
#[derive(Clone, Copy)]
enum Level {
    Event,
    Message,
    Params,
    Update,
}

/// Reads a value, and goes into it if it is an object.
struct Look<'f, 'a> {
    level: Level,
    found: &'f mut Found<'a>,
}

impl<'a> Look<'_, 'a> {
    fn inside(&mut self, level: Level) -> Look<'_, 'a> {
        Look {
            level,
            found: self.found,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        // Of two fields with one name the last counts, as for `JSON.parse`. A name that is escaped is none of these.
        while let Some(name) = map.next_key::<&RawValue>()? {
            match (self.level, name.get()) {
                (Level::Event, r#""createdAt""#) => self.found.created_at = Some(map.next_value()?),
                (Level::Event, r#""payload""#) => map.next_value_seed(self.inside(Level::Message))?,
                (Level::Message, r#""method""#) => self.found.method = Some(map.next_value()?),
                (Level::Message, r#""params""#) => map.next_value_seed(self.inside(Level::Params))?,
                (Level::Params, r#""update""#) => map.next_value_seed(self.inside(Level::Update))?,
                (Level::Update, r#""sessionUpdate""#) => self.found.update = Some(map.next_value()?),
                (level, name) => {
                    self.found.has_result |= matches!((level, name), (Level::Message, r#""result""#));
                    self.found.has_error |= matches!((level, name), (Level::Message, r#""error""#));
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_told_by_its_method_and_an_update_by_its_kind() {
        let kind = |payload: &str| {
            let event = format!(r#"{{"id":"e","createdAt":5,"payload":{payload},"payloads":1}}"#);
            let Glance { created_at, kind } = Glance::at(&event);
            assert_eq!(created_at, Some(5));
            match kind {
                Kind::Update(name) => format!("update {name}"),
                Kind::Method(name) => format!("method {name}"),
                kind => format!("{kind:?}"),
            }
        };
        for (payload, expected) in [
            (
                r#"{"jsonrpc":"2.0","method":"session/update","params":{"x":[1,{"update":2}],"update":{"sessionUpdate":"tool_call"}}}"#,
                "update tool_call",
            ),
            (
                r#"{"params":{"update":{"sessionUpdate":"a\u002fb"}},"method":"session\/update"}"#,
                "update a/b",
            ),
            (r#"{"method":"session/update","params":[]}"#, "method session/update"),
            (
                r#"{"method":"session/prompt","id":1,"params":{"update":{"sessionUpdate":"x"}}}"#,
                "method session/prompt",
            ),
            (r#"{"method":"first","method":"last","params":"\ud800"}"#, "method last"),
            (r#"{"id":1,"result":{"method":"deep"}}"#, "Answer"),
            (r#"{"id":1,"error":null}"#, "ErrorAnswer"),
            (r#"{"method":7}"#, "Unknown"),
            ("{}", "Unknown"),
            ("[[1]]", "Unknown"),
            (r#""text""#, "Unknown"),
            ("-1.5e3", "Unknown"),
            ("null", "Unknown"),
        ] {
            assert_eq!(kind(payload), expected, "{payload}");
        }
    }
}
