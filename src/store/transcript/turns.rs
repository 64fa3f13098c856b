//! Finds where the last turn that is over ends: at the agent's answer to the last `session/prompt` that was answered. Compaction
//! reads a session's messages from the newest to the oldest for it.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::store::model::{Entries, json_string};

/// An event that begins a turn, or may end one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its place in the session.
    pub index: i64,
    /// The event's id, which says whether it is still the same event.
    pub event_id: String,
    /// Which it is.
    pub kind: MessageKind,
    /// The connection that carried it, and the JSON text of its JSON-RPC id: what a prompt and its answer have in common.
    pub exchange: (String, String),
}

/// What a message does to a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// It begins one.
    Prompt,
    /// It ends one, if it answers a prompt.
    Answer,
}

impl Message {
    /// What an event says of turns, if it says anything.
    #[must_use]
    pub fn read(index: i64, event_id: &str, sender: &str, connection_id: &str, payload: &str) -> Option<Self> {
        let Entries(fields) = serde_json::from_str::<Entries<'_, &RawValue>>(payload).ok()?;
        let field = |name: &str| {
            let is_it = |key: &RawValue| json_string(key).is_some_and(|key| key == name);
            // The last of two counts, as for `JSON.parse`.
            fields.iter().rfind(|(key, _)| is_it(key)).map(|(_, value)| *value)
        };
        let id = field("id").map(RawValue::get).filter(|id| *id != "null")?;
        let kind = match field("method") {
            None if sender == "agent" => MessageKind::Answer,
            Some(method) if json_string(method)? == "session/prompt" => MessageKind::Prompt,
            _ => return None,
        };
        Some(Self {
            index,
            event_id: event_id.to_owned(),
            kind,
            exchange: (connection_id.to_owned(), id.to_owned()),
        })
    }
}

/// Takes messages from the newest to the oldest, until it knows.
#[derive(Debug, Default)]
pub struct TurnSearch {
    /// The answers whose prompt did not come yet, and the event that each is.
    answers: HashMap<(String, String), (i64, String)>,
    /// The newest prompt, if it has no answer: what comes from there on is still under way.
    open_from: Option<i64>,
    has_prompt: bool,
}

impl TurnSearch {
    /// Takes the next older message. Comes back with the index and the id of the event with which the last turn that is over
    /// ends, once that is known.
    pub fn push(&mut self, message: Message) -> Option<(i64, String)> {
        match message.kind {
            MessageKind::Answer => {
                // Of two answers the older one counts.
                self.answers.insert(message.exchange, (message.index, message.event_id));
                None
            }
            MessageKind::Prompt => {
                let is_newest = !std::mem::replace(&mut self.has_prompt, true);
                match self.answers.remove(&message.exchange) {
                    // An answer that came after a newer prompt was sent: that one's turn is not over.
                    Some((index, _)) if self.open_from.is_some_and(|from| index > from) => None,
                    Some(answer) => Some(answer),
                    None => {
                        if is_newest {
                            self.open_from = Some(message.index);
                        }
                        None
                    }
                }
            }
        }
    }
}
