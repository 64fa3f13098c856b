//! Makes the entries of a transcript of a session's events, one after another.

use std::collections::{HashMap, VecDeque};
use std::mem;

use serde_json::Value;

use super::content;
use super::entry::{Choice, Entry, Kind, Outcome, Role, ToolCall};
use super::envelope::{Body, Envelope, Sender, items, string};
use super::settings::{self, Settings};
use crate::store::model::SessionEvent;

/// How much text is held before all of it is given, though its turn is not over.
const MOST_BYTES: usize = 16 << 20;

/// What an entry takes in memory beside the texts of its event, about.
const ENTRY_BYTES: usize = 512;

/// How many requests are remembered that have no answer. Of more, the answers are shown as ones that nobody asked for.
const MOST_ASKED: usize = 10_000;

/// Takes events in their order, and gives entries when nothing more can come to them: when the next turn begins.
#[derive(Debug, Default)]
pub(in crate::cli) struct Transcript {
    /// The entries that were not given yet.
    held: VecDeque<Entry>,
    /// How many were given before those: an entry is known by its number.
    given: usize,
    held_bytes: usize,
    /// With which entry the turn begins: all before are whole.
    turn: usize,
    /// How the turn has ended. What agents stream may come after the answer to the prompt, so it is no entry yet.
    end: Option<Entry>,
    /// The message that the next piece may belong to.
    pub(super) open_message: Option<usize>,
    pub(super) tool_calls: HashMap<String, usize>,
    pub(super) plan: Option<usize>,
    pub(super) settings: Settings,
    pub(super) tokens: Option<(u64, u64)>,
    asked: HashMap<Exchange, Asked>,
}

/// What a request and its answer have in common: who asks, the connection, and the id.
type Exchange = (Sender, String, String);

/// A request without an answer so far.
#[derive(Debug)]
struct Asked {
    method: String,
    /// The entry that waits for the answer.
    entry: Option<usize>,
}

/// What an event does to a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Change {
    /// Nothing that people see.
    None,
    /// It adds this entry.
    Added(usize),
    /// It adds this text to the message.
    Grown(usize, String),
    /// It changes this entry.
    Changed(usize),
    /// It ends the turn.
    Ended,
}

/// Where an event stands, for the entry that it makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) index: i64,
    pub(super) created_at: i64,
}

impl Transcript {
    /// Takes the next event.
    pub(in crate::cli) fn push(&mut self, event: &SessionEvent<'_>) -> Change {
        let envelope = Envelope::read(event);
        let place = Place {
            index: envelope.index,
            created_at: envelope.created_at,
        };
        self.held_bytes += event.payload.len() + ENTRY_BYTES;
        let Envelope {
            sender, connection_id, ..
        } = envelope;
        match envelope.body {
            Body::Call { id, method, params } => {
                if sender == Sender::Client {
                    // The client goes on after the turn.
                    self.held.extend(self.end.take());
                }
                let change = self.call(place, sender, &method, &params);
                if let Some(id) = id {
                    let entry = match change {
                        Change::Added(number) => Some(number),
                        _ => None,
                    };
                    if self.asked.len() >= MOST_ASKED {
                        self.asked.clear();
                    }
                    self.asked.insert((sender, connection_id, id), Asked { method, entry });
                }
                change
            }
            Body::Result { id, result } => {
                let asked = self.asked.remove(&(sender.other(), connection_id, id));
                self.result(place, sender, asked, &result)
            }
            Body::Error { id, code, message } => {
                let asked = self.asked.remove(&(sender.other(), connection_id, id));
                let method = asked.map(|asked| asked.method);
                self.add(place, Kind::Error { method, code, message })
            }
            Body::Unknown(text) => self.note(place, sender, text),
        }
    }

    /// The entries that nothing more can come to.
    pub(in crate::cli) fn take_whole(&mut self) -> Vec<Entry> {
        if self.held_bytes > MOST_BYTES {
            return self.finish();
        }
        let whole = self.turn.saturating_sub(self.given);
        self.given += whole;
        self.held.drain(..whole).collect()
    }

    /// All entries that are left.
    pub(in crate::cli) fn finish(&mut self) -> Vec<Entry> {
        self.close_turn();
        self.given += self.held.len();
        mem::take(&mut self.held).into()
    }

    /// An entry that was not given yet.
    pub(super) fn entry(&self, number: usize) -> Option<&Entry> {
        self.held.get(number.checked_sub(self.given)?)
    }

    pub(super) fn entry_mut(&mut self, number: usize) -> Option<&mut Entry> {
        self.held.get_mut(number.checked_sub(self.given)?)
    }

    /// How the turn has ended.
    pub(super) fn end(&self) -> Option<&Entry> {
        self.end.as_ref()
    }

    pub(super) fn add(&mut self, place: Place, kind: Kind) -> Change {
        self.open_message = None;
        self.held.push_back(Entry {
            first_index: place.index,
            last_index: place.index,
            created_at: place.created_at,
            kind,
        });
        Change::Added(self.given + self.held.len() - 1)
    }

    pub(super) fn note(&mut self, place: Place, sender: Sender, text: String) -> Change {
        let sender = sender.name();
        self.add(place, Kind::Note { sender, text })
    }

    pub(super) fn set(&mut self, place: Place, values: impl IntoIterator<Item = (String, Value)>) -> Change {
        let settings = self.settings.changed(values);
        if settings.is_empty() {
            return Change::None;
        }
        self.add(place, Kind::Settings { settings })
    }

    /// A request, or something that is told.
    fn call(&mut self, place: Place, sender: Sender, method: &str, params: &Value) -> Change {
        let field = |name: &str| string(params, name).unwrap_or("?").to_owned();
        match method {
            "session/prompt" => {
                self.close_turn();
                let text = content::blocks(items(params, "prompt"));
                let message_id = string(params, "messageId").map(str::to_owned);
                let role = Role::User;
                self.add(place, Kind::Message { role, message_id, text })
            }
            "session/update" => self.update(place, sender, params.get("update").unwrap_or(&Value::Null)),
            "session/request_permission" => self.permission(place, params),
            "session/set_mode" => self.set(place, settings::one("mode", params, "modeId")),
            "session/set_model" => self.set(place, settings::one("model", params, "modelId")),
            "session/set_config_option" => self.set(place, settings::one(&field("configId"), params, "value")),
            "session/cancel" => self.note(place, sender, String::from("cancels the turn")),
            "session/new" => self.note(place, sender, format!("begins the session in {}", field("cwd"))),
            "session/load" | "session/resume" => {
                self.note(place, sender, format!("resumes the session in {}", field("cwd")))
            }
            "fs/read_text_file" => self.note(place, sender, format!("reads {}", field("path"))),
            "fs/write_text_file" => {
                let bytes = string(params, "content").map_or(0, str::len);
                self.note(place, sender, format!("writes {} ({bytes} bytes)", field("path")))
            }
            "terminal/create" => {
                let arguments = items(params, "args").iter().map(content::value);
                let words: Vec<String> = std::iter::once(field("command")).chain(arguments).collect();
                self.note(place, sender, format!("runs {}", words.join(" ")))
            }
            // What is said before a session begins, and what asks how a command goes on.
            "initialize" | "authenticate" | "terminal/output" | "terminal/wait_for_exit" | "terminal/release" => {
                Change::None
            }
            _ => self.note(place, sender, format!("{method} {params}")),
        }
    }

    fn permission(&mut self, place: Place, params: &Value) -> Change {
        let call = params.get("toolCall").unwrap_or(&Value::Null);
        let tool_call_id = string(call, "toolCallId").map(str::to_owned);
        let title = string(call, "title").map(str::to_owned).or_else(|| {
            let number = self.tool_calls.get(tool_call_id.as_ref()?)?;
            match &self.entry(*number)?.kind {
                Kind::ToolCall(call) => call.title.clone(),
                _ => None,
            }
        });
        let options = items(params, "options").iter().map(|option| Choice {
            option_id: string(option, "optionId").unwrap_or("?").to_owned(),
            name: string(option, "name").unwrap_or("?").to_owned(),
            kind: string(option, "kind").map(str::to_owned),
        });
        let kind = Kind::Permission {
            title: title.or_else(|| tool_call_id.clone()).unwrap_or_default(),
            tool_call_id,
            options: options.collect(),
            outcome: None,
        };
        self.add(place, kind)
    }

    /// An answer.
    fn result(&mut self, place: Place, sender: Sender, asked: Option<Asked>, result: &Value) -> Change {
        if let Some(stop_reason) = string(result, "stopReason") {
            self.end = Some(Entry {
                first_index: place.index,
                last_index: place.index,
                created_at: place.created_at,
                kind: Kind::End {
                    stop_reason: stop_reason.to_owned(),
                    tokens: self.tokens,
                },
            });
            return Change::Ended;
        }
        let Some(Asked { method, entry }) = asked else {
            if result.as_object().is_none_or(serde_json::Map::is_empty) {
                return Change::None;
            }
            return self.note(place, sender, format!("answers {result}"));
        };
        match &*method {
            "session/request_permission" => {
                let number = entry.filter(|number| self.answer(*number, place, result));
                number.map_or(Change::None, Change::Changed)
            }
            "session/new" | "session/load" | "session/resume" | "session/fork" => {
                self.settings.learn(result);
                Change::None
            }
            "session/set_config_option" => self.set(place, settings::options(result).collect::<Vec<_>>()),
            "terminal/wait_for_exit" => {
                let code = result.get("exitCode").unwrap_or(&Value::Null);
                self.note(place, sender, format!("the command has ended with {code}"))
            }
            "session/prompt" | "session/set_mode" | "session/set_model" | "initialize" | "authenticate" => Change::None,
            _ if method.starts_with("fs/") || method.starts_with("terminal/") => Change::None,
            _ => self.note(place, sender, format!("answers {method} {result}")),
        }
    }

    /// Puts the answer to a question for permission into its entry.
    fn answer(&mut self, number: usize, place: Place, result: &Value) -> bool {
        let answered = result.get("outcome").unwrap_or(&Value::Null);
        let answered = match string(answered, "optionId") {
            Some(option_id) => Outcome::Selected {
                option_id: option_id.to_owned(),
            },
            None => Outcome::Cancelled,
        };
        let Some(entry) = self.entry_mut(number) else {
            return false;
        };
        entry.last_index = place.index;
        if let Kind::Permission { outcome, .. } = &mut entry.kind {
            *outcome = Some(answered);
        }
        true
    }

    /// What comes next belongs to another turn.
    fn close_turn(&mut self) {
        self.held.extend(self.end.take());
        self.open_message = None;
        self.tool_calls.clear();
        self.plan = None;
        self.turn = self.given + self.held.len();
        self.held_bytes = 0;
    }

    /// The tool call of an entry.
    pub(super) fn tool_call_mut(&mut self, number: usize, place: Place) -> Option<&mut ToolCall> {
        let entry = self.entry_mut(number)?;
        entry.last_index = place.index;
        match &mut entry.kind {
            Kind::ToolCall(call) => Some(call),
            _ => None,
        }
    }
}
