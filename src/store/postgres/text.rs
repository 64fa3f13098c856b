//! Texts that Postgres cannot hold. `progress` refuses writes with such a text before they are sent, and `load` parts of a load.

use std::borrow::Cow;

use crate::store::error::StoreError;
use crate::store::model::{SessionEvent, SessionRecord};
use crate::store::write::Write;

/// Postgres has no text that holds U+0000. In JSON text it is escaped.
pub(super) fn check_text(write: &Write<'_>) -> Result<(), StoreError> {
    match write {
        Write::UpdateSession(record) => check_record(record),
        Write::InsertEvent(event) => check_event(event),
    }
}

/// The same of a record.
pub(super) fn check_record(record: &SessionRecord<'_>) -> Result<(), StoreError> {
    check(
        "session",
        &[
            ("id", Some(&record.id)),
            ("agent", Some(&record.agent)),
            ("agentSessionId", Some(&record.agent_session_id)),
            ("lastConnectionId", Some(&record.last_connection_id)),
            ("sandboxId", record.sandbox_id.as_ref()),
        ],
    )
}

/// The same of an event.
pub(super) fn check_event(event: &SessionEvent<'_>) -> Result<(), StoreError> {
    check(
        "event",
        &[
            ("id", Some(&event.id)),
            ("sessionId", Some(&event.session_id)),
            ("connectionId", Some(&event.connection_id)),
        ],
    )
}

/// The same of the id of a session.
pub(super) fn check_session_id(session_id: &str) -> Result<(), StoreError> {
    check("session", &[("id", Some(&Cow::Borrowed(session_id)))])
}

fn check(what: &str, texts: &[(&str, Option<&Cow<'_, str>>)]) -> Result<(), StoreError> {
    for (name, text) in texts {
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(StoreError::invalid(format!(
                "{what}.{name} must not hold U+0000: Postgres cannot store it outside of JSON"
            )));
        }
    }
    Ok(())
}
