//! What the tables of sessions and events are called and must have, in both backends: the names of the field
//! (docs/sdk-contract.md, "Tables").

use super::error::StoreError;
use super::message::{StoreOption, message};

/// Columns that a table must have to be one of sessions, in every layout of the field.
pub const SESSION_COLUMNS: [&str; 5] = ["id", "agent", "agent_session_id", "last_connection_id", "created_at"];

/// Columns that a table must have to be one of events.
pub const EVENT_COLUMNS: [&str; 6] = [
    "id",
    "session_id",
    "created_at",
    "connection_id",
    "sender",
    "payload_json",
];

/// What comes before the names `sessions` and `events`.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// The name that begins with this prefix.
    #[must_use]
    pub fn name(&self, table: &str) -> String {
        format!("{}{table}", self.0)
    }
}

/// Why a table with these columns is not one of ours, if it is not: a column of ours is missing, or one that we do not
/// know wants a value.
#[must_use]
pub fn foreign_columns<'a>(
    required: &[&str],
    known: impl Fn(&str) -> bool,
    columns: impl Iterator<Item = (&'a str, bool)> + Clone,
) -> Option<String> {
    let missing: Vec<&str> = required
        .iter()
        .copied()
        .filter(|name| !columns.clone().any(|(column, _)| column == *name))
        .collect();
    if !missing.is_empty() {
        return Some(format!("it has no column {}", missing.join(", ")));
    }
    let mut unknown: Vec<&str> = columns
        .filter(|(name, must_be_given)| *must_be_given && !known(name))
        .map(|(name, _)| name)
        .collect();
    unknown.sort_unstable();
    (!unknown.is_empty()).then(|| format!("it wants a value for {}", unknown.join(", ")))
}
