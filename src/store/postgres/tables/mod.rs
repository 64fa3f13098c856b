//! The tables: what they are called, and making them ready. `database`'s callers wait for [`Preparation`]; all statements
//! name [`Tables`].
//!
//! `schema` says what the tables need and `catalog` what there is; `migrate` adds what is missing; `preparation` does so once
//! for all calls of a driver.

mod catalog;
mod migrate;
mod preparation;
mod schema;

pub(super) use preparation::Preparation;

use crate::store::error::StoreError;
use crate::store::message::{StoreOption, message};
use crate::store::tables::TablePrefix;

/// The names of our tables, with the caller's schema and prefix.
#[derive(Debug, Clone)]
pub struct Tables {
    pub(in crate::store::postgres) schema: String,
    prefix: TablePrefix,
    /// `"public"."sessions"`, quoted for SQL.
    pub(in crate::store::postgres) sessions: String,
    /// `"public"."events"`.
    pub(in crate::store::postgres) events: String,
    /// `"public"."persist_version"`.
    pub(in crate::store::postgres) version: String,
}

impl Tables {
    /// The tables in `schema` that begin with `prefix`.
    pub fn new(schema: &str, prefix: TablePrefix) -> Result<Self, StoreError> {
        // Postgres would cut a longer name short, and two names could become one.
        if schema.is_empty() || schema.len() > 63 || schema.contains('\0') {
            return Err(StoreError::invalid(message![
                StoreOption::Schema,
                " must be the name of a schema: 1 to 63 bytes, without U+0000",
            ]));
        }
        let quoted = |table: &str| format!("{}.\"{}\"", quote(schema), prefix.name(table));
        Ok(Self {
            sessions: quoted("sessions"),
            events: quoted("events"),
            version: quoted("persist_version"),
            schema: schema.to_owned(),
            prefix,
        })
    }

    pub(in crate::store::postgres) fn quoted_schema(&self) -> String {
        quote(&self.schema)
    }

    fn sessions_name(&self) -> String {
        self.prefix.name("sessions")
    }

    pub(in crate::store::postgres) fn events_name(&self) -> String {
        self.prefix.name("events")
    }

    fn version_name(&self) -> String {
        self.prefix.name("persist_version")
    }
}

fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
