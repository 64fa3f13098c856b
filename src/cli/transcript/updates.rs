//! What agents stream while they work: pieces of messages, tool calls and what becomes of them, plans.

use serde_json::Value;

use super::content;
use super::entries::{Change, Place, Transcript};
use super::entry::{Kind, Role, Step, ToolCall};
use super::envelope::{Sender, items, string};
use super::settings;

impl Transcript {
    /// Takes what a `session/update` tells.
    pub(super) fn update(&mut self, place: Place, sender: Sender, update: &Value) -> Change {
        let kind = string(update, "sessionUpdate").unwrap_or("?");
        match kind {
            "user_message_chunk" => self.piece(place, Role::User, update),
            "agent_message_chunk" => self.piece(place, Role::Agent, update),
            "agent_thought_chunk" => self.piece(place, Role::Thought, update),
            "tool_call" | "tool_call_update" => self.tool_call(place, update),
            "plan" => self.plan(place, update),
            "current_mode_update" => self.set(place, settings::one("mode", update, "currentModeId")),
            "config_option_update" => self.set(place, settings::options(update).collect::<Vec<_>>()),
            "session_info_update" => match string(update, "title") {
                Some(title) => self.note(place, sender, format!("calls the session {title}")),
                None => Change::None,
            },
            "usage_update" => {
                let count = |field: &str| update.get(field).and_then(Value::as_u64);
                self.tokens = count("used").zip(count("size"));
                Change::None
            }
            // The commands that a user may write do not belong to what was said.
            "available_commands_update" => Change::None,
            _ => self.note(place, sender, format!("{kind} {update}")),
        }
    }

    /// A piece of a message, which goes on with the last one or begins another.
    fn piece(&mut self, place: Place, role: Role, update: &Value) -> Change {
        let piece = content::block(update.get("content").unwrap_or(&Value::Null));
        let id = string(update, "messageId");
        if let Some(number) = self.open_message
            && let Some(entry) = self.entry_mut(number)
            && let Kind::Message {
                role: open,
                message_id,
                text,
            } = &mut entry.kind
            && (*open, message_id.as_deref()) == (role, id)
        {
            text.push_str(&piece);
            entry.last_index = place.index;
            return Change::Grown(number, piece.into_owned());
        }
        let message_id = id.map(str::to_owned);
        let text = piece.into_owned();
        let change = self.add(place, Kind::Message { role, message_id, text });
        if let Change::Added(number) = change {
            self.open_message = Some(number);
        }
        change
    }

    /// A tool call, or what has changed about one: what is not said stays.
    fn tool_call(&mut self, place: Place, update: &Value) -> Change {
        let id = string(update, "toolCallId").unwrap_or("?");
        if let Some(number) = self.tool_calls.get(id).copied()
            && let Some(call) = self.tool_call_mut(number, place)
        {
            call.take(update);
            return Change::Changed(number);
        }
        let mut call = ToolCall {
            id: id.to_owned(),
            ..ToolCall::default()
        };
        call.take(update);
        let change = self.add(place, Kind::ToolCall(Box::new(call)));
        if let Change::Added(number) = change {
            self.tool_calls.insert(id.to_owned(), number);
        }
        change
    }

    /// A plan, which takes the place of the one before it in the same turn.
    fn plan(&mut self, place: Place, update: &Value) -> Change {
        let steps = items(update, "entries").iter().map(|step| Step {
            content: string(step, "content").unwrap_or("?").to_owned(),
            status: string(step, "status").unwrap_or("pending").to_owned(),
        });
        let steps = steps.collect();
        if let Some(number) = self.plan
            && let Some(entry) = self.entry_mut(number)
        {
            entry.last_index = place.index;
            entry.kind = Kind::Plan { entries: steps };
            return Change::Changed(number);
        }
        let change = self.add(place, Kind::Plan { entries: steps });
        if let Change::Added(number) = change {
            self.plan = Some(number);
        }
        change
    }
}

impl ToolCall {
    fn take(&mut self, update: &Value) {
        for (field, name) in [
            (&mut self.title, "title"),
            (&mut self.kind, "kind"),
            (&mut self.status, "status"),
        ] {
            if let Some(text) = string(update, name) {
                *field = Some(text.to_owned());
            }
        }
        for (field, name) in [(&mut self.content, "content"), (&mut self.locations, "locations")] {
            if let Some(Value::Array(list)) = update.get(name) {
                field.clone_from(list);
            }
        }
        for (field, name) in [(&mut self.raw_input, "rawInput"), (&mut self.raw_output, "rawOutput")] {
            if let Some(value) = update.get(name).filter(|value| !value.is_null()) {
                *field = Some(value.clone());
            }
        }
    }
}
