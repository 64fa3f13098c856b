//! The tables: what they must have, and what a database lacks of it.
//!
//! The plan is derived from what the database holds ([`super::catalog`]), so that new files, half-made ones and those that
//! other drivers left in the field all go the same way. `migrate` carries it out.

use std::fmt;

use rusqlite::Connection;

use super::catalog::{self, Table};
use super::connection::Target;
use crate::store::error::{ErrorKind, StoreError};

/// The version of the tables that this release writes, kept in SQLite's `user_version`.
pub(super) const VERSION: i64 = 1;

/// Columns that a table must have to be one of ours, in every layout of the field (docs/sdk-contract.md, "Tables").
const SESSION_COLUMNS: [&str; 5] = ["id", "agent", "agent_session_id", "last_connection_id", "created_at"];
const EVENT_COLUMNS: [&str; 6] = [
    "id",
    "session_id",
    "created_at",
    "connection_id",
    "sender",
    "payload_json",
];

/// Columns that an older layout may lack.
const ADDED_SESSION_COLUMNS: [(&str, &str); 6] = [
    ("destroyed_at", "INTEGER"),
    ("sandbox_id", "TEXT"),
    ("session_init_json", "TEXT"),
    ("config_options_json", "TEXT"),
    ("modes_json", "TEXT"),
    ("extra_json", "TEXT"),
];
const ADDED_EVENT_COLUMNS: [(&str, &str); 2] = [("event_index", "INTEGER"), ("extra_json", "TEXT")];

/// The column that keeps the number of an event that had no other id.
pub(super) const NUMBER_COLUMN: &str = "event_number";

/// The names of our tables, with the caller's prefix, quoted for SQL.
#[derive(Debug, Clone)]
pub struct Tables {
    pub(super) prefix: String,
    /// `"sessions"`.
    pub(super) sessions: String,
    /// `"events"`.
    pub(super) events: String,
}

impl Tables {
    /// The tables that begin with `prefix`.
    pub fn with_prefix(prefix: &str) -> Result<Self, StoreError> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if prefix.len() > 40
            || !prefix.chars().all(word)
            || prefix.starts_with(|c: char| c.is_ascii_digit())
            || prefix.to_ascii_lowercase().starts_with("sqlite_")
        {
            return Err(StoreError::invalid(
                "options.tablePrefix must be at most 40 letters, digits and underscores, and must not begin with a digit or with \"sqlite_\"",
            ));
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            sessions: format!("\"{prefix}sessions\""),
            events: format!("\"{prefix}events\""),
        })
    }

    pub(super) fn events_name(&self) -> String {
        format!("{}events", self.prefix)
    }

    fn sessions_name(&self) -> String {
        format!("{}sessions", self.prefix)
    }
}

/// One thing that a database lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    CreateSessions,
    CreateEvents,
    AddColumn {
        table: String,
        column: &'static str,
        declared_type: &'static str,
    },
    RoundTimes,
    RepairIndexes {
        row: &'static str,
    },
    TextIds,
    UniquePlace,
    SessionOrder,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::CreateSessions => formatter.write_str("create the table of sessions"),
            Self::CreateEvents => formatter.write_str("create the table of events"),
            Self::AddColumn { table, column, .. } => write!(formatter, "add column {column} to {table}"),
            Self::RoundTimes => formatter.write_str("round times that are not whole milliseconds"),
            Self::RepairIndexes { .. } => {
                formatter.write_str("renumber sessions with missing or duplicate event indexes")
            }
            Self::TextIds => formatter.write_str("turn the numeric event ids into text"),
            Self::UniquePlace => formatter.write_str("add a unique index on the events' (session_id, event_index)"),
            Self::SessionOrder => formatter.write_str("add an index on the sessions' (created_at, id)"),
        }
    }
}

/// What a database lacks.
pub(super) struct Plan {
    /// In the order in which they are to be run.
    pub(super) steps: Vec<Step>,
    /// Whether the version is to be set when they are done.
    pub(super) sets_version: bool,
}

/// A database that is not for us.
pub(super) enum Refusal {
    NewerVersion(i64),
    Foreign { table: String, reason: String },
}

impl Refusal {
    pub(super) fn into_error(self, target: &Target) -> StoreError {
        let name = target.location.name();
        match self {
            Self::NewerVersion(found) => StoreError::new(
                ErrorKind::Schema,
                format!(
                    "the tables of {name} have version {found} (`user_version`), and this release knows versions up to \
                     {VERSION}: use a newer release of sandbox-agent-persist"
                ),
            ),
            Self::Foreign { table, reason } => StoreError::new(
                ErrorKind::ForeignTable,
                format!(
                    "{name} has a table {table:?} that does not hold sandbox-agent sessions: {reason}. It was left untouched. \
                     Set `tablePrefix`, or use another file"
                ),
            ),
        }
    }
}

/// Looks at the database, and says what it lacks.
pub(super) fn plan(connection: &Connection, tables: &Tables) -> rusqlite::Result<Result<Plan, Refusal>> {
    // One read transaction, so that both tables are seen in one state.
    let snapshot = connection.is_autocommit();
    if snapshot {
        connection.execute_batch("BEGIN")?;
    }
    let found = Found::look(connection, tables);
    if snapshot {
        connection.execute_batch("COMMIT")?;
    }
    Ok(found?.plan(tables))
}

/// What was found of our tables.
struct Found {
    sessions: Option<Table>,
    events: Option<Table>,
    /// The number in `user_version`, if it speaks of our tables: in a file that has other tables too it is theirs.
    version: Option<i64>,
    /// Whether a session's time is not a whole number, which a cursor could not name. We write whole numbers only.
    fractional_times: bool,
}

impl Found {
    fn look(connection: &Connection, tables: &Tables) -> rusqlite::Result<Self> {
        let (sessions_name, events_name) = (tables.sessions_name(), tables.events_name());
        let sessions = catalog::table(connection, &sessions_name)?;
        let shared = catalog::has_other_tables(connection, [&sessions_name, &events_name])?;
        let version = (!shared).then(|| catalog::version(connection)).transpose()?;
        let has_times = |table: &Table| table.columns.contains_key("created_at");
        let fractional_times = version != Some(VERSION)
            && sessions.as_ref().is_some_and(has_times)
            && has_fractional_times(connection, tables)?;
        Ok(Self {
            events: catalog::table(connection, &events_name)?,
            sessions,
            version,
            fractional_times,
        })
    }

    fn plan(&self, tables: &Tables) -> Result<Plan, Refusal> {
        if let Some(newer) = self.version.filter(|version| *version > VERSION) {
            return Err(Refusal::NewerVersion(newer));
        }
        let mut steps = Vec::new();
        for (table, name, required, added, create) in [
            (
                &self.sessions,
                tables.sessions_name(),
                &SESSION_COLUMNS[..],
                &ADDED_SESSION_COLUMNS[..],
                Step::CreateSessions,
            ),
            (
                &self.events,
                tables.events_name(),
                &EVENT_COLUMNS[..],
                &ADDED_EVENT_COLUMNS[..],
                Step::CreateEvents,
            ),
        ] {
            let Some(table) = table else {
                steps.push(create);
                continue;
            };
            if let Some(reason) = foreign(table, required, added) {
                return Err(Refusal::Foreign { table: name, reason });
            }
            for &(column, declared_type) in added {
                if !table.columns.contains_key(column) {
                    steps.push(Step::AddColumn {
                        table: name.clone(),
                        column,
                        declared_type,
                    });
                }
            }
        }
        steps.extend(self.events.iter().flat_map(events_steps));
        if self.fractional_times {
            steps.push(Step::RoundTimes);
        }
        if self.sessions.as_ref().is_some_and(|sessions| !sessions.created_order) {
            steps.push(Step::SessionOrder);
        }
        Ok(Plan {
            steps,
            sets_version: self.version.is_some_and(|version| version < VERSION),
        })
    }
}

fn has_fractional_times(connection: &Connection, tables: &Tables) -> rusqlite::Result<bool> {
    let exists = format!(
        "SELECT EXISTS (SELECT 1 FROM {} WHERE typeof(created_at) = 'real')",
        tables.sessions
    );
    connection.query_row(&exists, [], |row| row.get(0))
}

/// Why the table is not one of ours, if it is not.
fn foreign(table: &Table, required: &[&str], added: &[(&str, &str)]) -> Option<String> {
    if table.kind != "table" {
        return Some(format!("it is a {}", table.kind));
    }
    let missing: Vec<&str> = required
        .iter()
        .copied()
        .filter(|column| !table.columns.contains_key(*column))
        .collect();
    if !missing.is_empty() {
        return Some(format!("it has no column {}", missing.join(", ")));
    }
    let ours = |name: &str| required.contains(&name) || added.iter().any(|(column, _)| *column == name);
    let mut unknown: Vec<&str> = table
        .columns
        .iter()
        .filter(|(name, column)| column.must_be_given && !ours(name))
        .map(|(name, _)| name.as_str())
        .collect();
    unknown.sort_unstable();
    (!unknown.is_empty()).then(|| format!("it wants a value for {}", unknown.join(", ")))
}

fn events_steps(events: &Table) -> Vec<Step> {
    let mut steps = Vec::new();
    if !events.unique_place {
        let row = if events.without_rowid { "id" } else { "rowid" };
        steps.push(Step::RepairIndexes { row });
    }
    if events.columns.get("id").is_some_and(|id| id.declared_type == "INTEGER") {
        steps.push(Step::TextIds);
    }
    if !events.unique_place {
        steps.push(Step::UniquePlace);
    }
    steps
}
