//! What a call does, by the name of the method that users call.

use std::borrow::Cow;

use serde::Serialize;

/// A method that reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Store a record.
    UpdateSession,
    /// Store an event.
    InsertEvent,
    /// Change labels.
    SetLabels,
    /// Delete a session.
    DeleteSession,
    /// Copy a session.
    ForkSession,
    /// Read a record.
    GetSession,
    /// Read labels.
    GetLabels,
    /// Read a page of records.
    ListSessions,
    /// Read a page of events.
    ListEvents,
}

impl Operation {
    /// Whether it changes the database.
    #[must_use]
    pub fn is_write(self) -> bool {
        match self {
            Self::UpdateSession | Self::InsertEvent | Self::SetLabels | Self::DeleteSession | Self::ForkSession => true,
            Self::GetSession | Self::GetLabels | Self::ListSessions | Self::ListEvents => false,
        }
    }
}

/// A request, as those see it who measure what it takes.
pub trait Measured {
    /// What it does; nothing for a step of some larger work, which says nothing about how long users wait.
    fn operation(&self) -> Option<Operation>;
    /// The session that it is about, if it is about one.
    fn session_id(&self) -> Option<Cow<'_, str>>;
}
