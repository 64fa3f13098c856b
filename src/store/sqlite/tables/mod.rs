//! The tables: what they are called, and making them ready. The writer calls [`prepare`] before its first batch; all
//! statements name [`Tables`].
//!
//! `schema` says what the tables need and `catalog` what there is; `script` has the SQL of what is missing, `migrate` runs it, and `plan`
//! shows it.

mod catalog;
mod layout;
mod migrate;
mod plan;
mod schema;
mod script;

pub(super) use catalog::{free_index_name, has_name, has_table, is_without_rowid};
pub(super) use layout::layout;
pub(super) use migrate::prepare;
pub use plan::{creation, plan};
pub(super) use schema::{NUMBER_COLUMN, missing};
pub(super) use script::declared_type;

use crate::store::tables::rebuild::RebuildTables;
use crate::store::tables::{TableName, TablePrefix};

/// The names of our tables, with the caller's prefix.
#[derive(Debug, Clone)]
pub struct Tables {
    pub(in crate::store::sqlite) sessions: TableName,
    pub(in crate::store::sqlite) events: TableName,
    pub(in crate::store::sqlite) labels: TableName,
    pub(in crate::store::sqlite) deleted: TableName,
    pub(in crate::store::sqlite) rebuild: RebuildTables,
    version: TableName,
}

impl Tables {
    /// The tables that begin with `prefix`.
    #[must_use]
    pub fn with_prefix(prefix: &TablePrefix) -> Self {
        let name = |table| TableName::new(None, prefix, table);
        Self {
            sessions: name("sessions"),
            events: name("events"),
            labels: name("session_labels"),
            deleted: name("deleted_sessions"),
            rebuild: RebuildTables::new(None, prefix),
            version: name("persist_version"),
        }
    }
}

fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
