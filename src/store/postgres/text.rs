//! Texts that Postgres cannot hold. `progress` refuses writes with such a text before they are sent.

use crate::store::error::StoreError;
use crate::store::write::Write;

/// Postgres has no text that holds U+0000. In JSON text it is escaped.
pub(super) fn check_text(write: &Write<'_>) -> Result<(), StoreError> {
    let (what, texts) = match write {
        Write::UpdateSession(record) => (
            "session",
            vec![
                ("id", Some(&record.id)),
                ("agent", Some(&record.agent)),
                ("agentSessionId", Some(&record.agent_session_id)),
                ("lastConnectionId", Some(&record.last_connection_id)),
                ("sandboxId", record.sandbox_id.as_ref()),
            ],
        ),
        Write::InsertEvent(event) => (
            "event",
            vec![
                ("id", Some(&event.id)),
                ("sessionId", Some(&event.session_id)),
                ("connectionId", Some(&event.connection_id)),
            ],
        ),
    };
    for (name, text) in texts {
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(StoreError::invalid(format!(
                "{what}.{name} must not hold U+0000: Postgres cannot store it outside of JSON"
            )));
        }
    }
    Ok(())
}
