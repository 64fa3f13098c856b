//! The tables: what they are called, and making them ready. The writer calls [`prepare`] before its first batch; all
//! statements name [`Tables`].
//!
//! `schema` says what the tables need and `catalog` what there is; `migrate` adds what is missing.

mod catalog;
mod migrate;
mod schema;

pub(super) use migrate::prepare;

use crate::store::tables::TablePrefix;

/// The names of our tables, with the caller's prefix.
#[derive(Debug, Clone)]
pub struct Tables {
    prefix: TablePrefix,
    /// `"sessions"`, quoted for SQL.
    pub(in crate::store::sqlite) sessions: String,
    /// `"events"`, quoted for SQL.
    pub(in crate::store::sqlite) events: String,
    /// `"persist_version"`, quoted for SQL.
    pub(in crate::store::sqlite) version: String,
}

impl Tables {
    /// The tables that begin with `prefix`.
    #[must_use]
    pub fn with_prefix(prefix: TablePrefix) -> Self {
        Self {
            sessions: format!("\"{}\"", prefix.name("sessions")),
            events: format!("\"{}\"", prefix.name("events")),
            version: format!("\"{}\"", prefix.name("persist_version")),
            prefix,
        }
    }

    pub(in crate::store::sqlite) fn sessions_name(&self) -> String {
        self.prefix.name("sessions")
    }

    pub(in crate::store::sqlite) fn events_name(&self) -> String {
        self.prefix.name("events")
    }

    fn version_name(&self) -> String {
        self.prefix.name("persist_version")
    }
}
