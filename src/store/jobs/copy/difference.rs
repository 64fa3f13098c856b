//! How a session of the target is different from the source's, so that it is left as it is.

use serde::Serialize;

use crate::store::error::{ErrorKind, StoreError};
use crate::store::model::SessionEvent;

/// A session that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The session's id.
    pub session_id: String,
    /// How it is different.
    pub reason: Reason,
    /// The same in words, and what to do.
    pub message: String,
}

/// How a session of the store is different from the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// It has all events of the source, and others after them.
    HasMore,
    /// At some place it has another event than the source, or none: it went on by itself, or was compacted or pruned.
    OtherEvents,
    /// It has the same events, and another record or other labels, which stay ([`Known::Kept`](super::Known::Kept)).
    OtherRecord,
    /// The store refuses what the source has, as it does for the id of a session that was deleted lately.
    Refused,
    /// What was stored is not what was read back, or the source has changed while it was read: somebody has changed it meanwhile.
    ChangedMeanwhile,
}

impl Difference {
    pub(super) fn refused(session_id: &str, error: &StoreError) -> Self {
        let reason = match error.kind {
            ErrorKind::IndexConflict => Reason::OtherEvents,
            _ => Reason::Refused,
        };
        Self {
            session_id: session_id.to_owned(),
            reason,
            message: error.to_string(),
        }
    }

    pub(super) fn changed_meanwhile(session_id: &str) -> Self {
        Self {
            session_id: session_id.to_owned(),
            reason: Reason::ChangedMeanwhile,
            message: String::from(
                "what was stored of it reads otherwise: somebody has changed it meanwhile, or a rule of the table does; copy again to see \
                 where it is different",
            ),
        }
    }

    pub(super) fn changed_in_source(session_id: String) -> Self {
        Self {
            session_id,
            reason: Reason::ChangedMeanwhile,
            message: String::from("it was compacted, pruned or deleted in the source while it was read: copy again"),
        }
    }

    pub(super) fn other_event(session_id: &str, event: &str) -> Self {
        let place =
            index_of(session_id, event).map_or_else(|| String::from("an event"), |index| format!("event {index}"));
        Self {
            session_id: session_id.to_owned(),
            reason: Reason::OtherEvents,
            message: format!(
                "{place} is another one in the store, or is not there: the session went on there by itself, or was compacted or pruned"
            ),
        }
    }

    pub(super) fn has_more(session_id: String) -> Self {
        Self {
            session_id,
            reason: Reason::HasMore,
            message: String::from("the store has all its events and others after them: it went on there by itself"),
        }
    }

    pub(super) fn other_record(session_id: String) -> Self {
        Self {
            session_id,
            reason: Reason::OtherRecord,
            message: String::from("the store has the same events and another record, or other labels, which stay"),
        }
    }
}

/// The index of an event; there is none of one that will be refused.
pub(super) fn index_of(session_id: &str, event: &str) -> Option<i64> {
    SessionEvent::parse(session_id, event)
        .ok()
        .map(|event| event.event_index)
}
