//! Writes that are a transaction of their own: what they ask for. Both backends take a batch before each of them and another
//! one after it, so that they keep their place in the order of the calls.

use super::error::Quoted;
use super::labels::LabelChanges;

/// A write that is a transaction of its own, as it was called.
#[derive(Debug)]
pub enum SingleRequest {
    /// Set and remove labels of a session.
    SetLabels {
        /// The session's id.
        session_id: String,
        /// What is set and removed.
        changes: LabelChanges,
    },
}

impl SingleRequest {
    /// The session in whose order of writes it stands.
    #[must_use]
    pub fn session_id(&self) -> &str {
        match self {
            Self::SetLabels { session_id, .. } => session_id,
        }
    }

    /// The session whose events it changes, if it does.
    #[must_use]
    pub fn session_of_events(&self) -> Option<&str> {
        match self {
            Self::SetLabels { .. } => None,
        }
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::SetLabels { session_id, changes } => session_id.len() + changes.text_bytes(),
        }
    }

    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> String {
        match self {
            Self::SetLabels { session_id, .. } => format!("setting labels of session {} in", Quoted(session_id)),
        }
    }
}
