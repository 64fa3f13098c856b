//! The tables, as far as they are the same in both backends: what they are called, which columns they have, and what a database
//! lacks of them. Those of sessions and events are the tables of the field (docs/sdk-contract.md, "Tables"); those of labels
//! and deleted sessions are ours alone.
//!
//! A backend looks at its database and says what it found ([`found`]). What is missing comes out as a list of steps
//! ([`steps`]), which the backend has the SQL for ([`plan`]). Its statements name the [`columns`]. [`layout`] says who made the table of
//! events.

pub mod columns;
pub mod found;
pub mod layout;
pub mod plan;
pub mod rebuild;
pub mod steps;

use std::fmt;

use super::error::StoreError;
use super::message::{StoreOption, message};

/// The version of the tables that this release writes.
pub const VERSION: i64 = 1;

/// Beyond every index that a session can have: where events are put while a session is renumbered.
pub const BEYOND_INDEXES: i64 = 1 << 60;

/// What comes before the names of all tables: nothing, unless the caller says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TablePrefix(String);

impl TablePrefix {
    /// Checks that the prefix can stand in a table's name without quoting.
    pub fn parse(prefix: &str) -> Result<Self, StoreError> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let reserved = ["sqlite_", "pg_"];
        let lower = prefix.to_ascii_lowercase();
        if prefix.len() > 40
            || !prefix.chars().all(word)
            || prefix.starts_with(|c: char| c.is_ascii_digit())
            || reserved.iter().any(|reserved| lower.starts_with(reserved))
        {
            return Err(StoreError::invalid(message![
                StoreOption::TablePrefix,
                " must be at most 40 letters, digits and underscores, and must not begin with a digit, \"sqlite_\" or \"pg_\"",
            ]));
        }
        Ok(Self(prefix.to_owned()))
    }
}

/// The name of one of our tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// As messages have it: `sessions`.
    pub plain: String,
    quoted: String,
}

impl TableName {
    /// The table that begins with `prefix`; the schema, if there is one, is quoted already.
    pub(super) fn new(quoted_schema: Option<&str>, prefix: &TablePrefix, table: &str) -> Self {
        let plain = format!("{}{table}", prefix.0);
        let quoted = match quoted_schema {
            Some(schema) => format!("{schema}.\"{plain}\""),
            None => format!("\"{plain}\""),
        };
        Self { plain, quoted }
    }
}

impl fmt::Display for TableName {
    /// As SQL has it: `"public"."sessions"`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.quoted)
    }
}
