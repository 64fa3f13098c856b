//! The tables: what they are called, and making them ready. `database`'s callers wait for [`Preparation`]; all statements
//! name [`Tables`].
//!
//! `schema` says what the tables need and `catalog` what there is; `script` has the SQL of what is missing, `migrate` runs it, and `plan`
//! shows it; `preparation` migrates once for all calls of a driver.

mod catalog;
mod layout;
mod migrate;
mod plan;
mod preparation;
mod schema;
mod script;

pub(super) use layout::layout;
pub(super) use migrate::{LOCK, NO_TIMEOUTS};
pub use plan::{creation, plan};
pub(super) use preparation::Preparation;
pub(super) use schema::missing;
pub(super) use script::data_type;
pub use script::{Role, grants};

use crate::store::error::StoreError;
use crate::store::message::{StoreOption, message};
use crate::store::tables::rebuild::RebuildTables;
use crate::store::tables::{TableName, TablePrefix};

/// The schema when nobody names one.
pub const DEFAULT_SCHEMA: &str = "public";

/// The names of our tables, with the caller's schema and prefix.
#[derive(Debug, Clone)]
pub struct Tables {
    pub(in crate::store::postgres) schema: String,
    /// The names of those that hold rows of sessions, without the schema.
    pub(in crate::store::postgres) plain: Vec<String>,
    pub(in crate::store::postgres) sessions: TableName,
    pub(in crate::store::postgres) events: TableName,
    pub(in crate::store::postgres) labels: TableName,
    pub(in crate::store::postgres) deleted: TableName,
    pub(in crate::store::postgres) rebuild: RebuildTables,
    version: TableName,
}

impl Tables {
    /// The schema's name, as it was given.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The tables in `schema` that begin with `prefix`.
    pub fn new(schema: &str, prefix: &TablePrefix) -> Result<Self, StoreError> {
        // Postgres would cut a longer name short, and two names could become one.
        if schema.is_empty() || schema.len() > 63 || schema.contains('\0') {
            return Err(StoreError::invalid(message![
                StoreOption::Schema,
                " must be the name of a schema: 1 to 63 bytes, without U+0000",
            ]));
        }
        let quoted_schema = quote(schema);
        let name = |table| TableName::new(Some(&quoted_schema), prefix, table);
        let names = ["sessions", "events", "session_labels", "deleted_sessions"];
        let [sessions, events, labels, deleted] = names.map(name);
        Ok(Self {
            schema: schema.to_owned(),
            plain: [&sessions, &events, &labels, &deleted]
                .map(|table| table.plain.clone())
                .into(),
            sessions,
            events,
            labels,
            deleted,
            rebuild: RebuildTables::new(Some(&quoted_schema), prefix),
            version: name("persist_version"),
        })
    }

    pub(in crate::store::postgres) fn quoted_schema(&self) -> String {
        quote(&self.schema)
    }
}

fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
