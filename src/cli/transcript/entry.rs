//! The entries of a transcript. `show --json` prints them, with the names of ACP where it has some.

use serde::Serialize;
use serde_json::{Map, Value};

/// An entry, and the events that it is made of.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Entry {
    /// The index of its first event.
    pub(super) first_index: i64,
    /// The index of its last event so far.
    pub(super) last_index: i64,
    /// When its first event was made, in milliseconds since 1970.
    pub(super) created_at: i64,
    #[serde(flatten)]
    pub(super) kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Kind {
    /// Somebody has said something.
    Message {
        role: Role,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        text: String,
    },
    /// The agent has used a tool.
    ToolCall(Box<ToolCall>),
    /// The agent has asked for permission.
    Permission {
        title: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_call_id: Option<String>,
        options: Vec<Choice>,
        /// Nothing, where the answer is not among the events: the SDK of version 0.4 stores none.
        outcome: Option<Outcome>,
    },
    /// What the agent is going to do: the last one that it told in this turn.
    Plan { entries: Vec<Step> },
    /// The mode, the model, or other settings have changed: the new values by name.
    Settings { settings: Map<String, Value> },
    /// The turn is over.
    End {
        stop_reason: String,
        /// How many tokens are in use, of how many.
        #[serde(skip_serializing_if = "Option::is_none")]
        tokens: Option<(u64, u64)>,
    },
    /// A request has failed.
    Error {
        method: Option<String>,
        code: Option<i64>,
        message: String,
    },
    /// Everything else.
    Note { sender: &'static str, text: String },
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Role {
    User,
    Agent,
    /// The agent, to itself.
    Thought,
}

/// A tool call, as far as it has come.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolCall {
    #[serde(rename = "toolCallId")]
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) content: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) locations: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raw_input: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raw_output: Option<Value>,
}

/// An answer that somebody may give.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Choice {
    pub(super) option_id: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Outcome {
    Selected { option_id: String },
    Cancelled,
}

/// A step of a plan.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Step {
    pub(super) content: String,
    pub(super) status: String,
}

impl Outcome {
    /// As people read it, where these were the answers that could be given.
    pub(super) fn words<'a>(&'a self, options: &'a [Choice]) -> &'a str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Selected { option_id } => {
                let chosen = options.iter().find(|option| option.option_id == *option_id);
                chosen.map_or(option_id, |option| &option.name)
            }
        }
    }
}
