//! The tables: how new ones are made, and how those that other drivers left in the field are adopted in place.
//!
//! What a database needs is derived from what it holds ([`super::catalog`]), as a list of [`Step`]s, and done in one
//! transaction. An interrupted migration leaves the database as it was.

use std::fmt;

use rusqlite::Connection;

use super::catalog::{self, Table};
use super::connection::{Access, Target};
use crate::store::error::{ErrorKind, StoreError};

/// The version of the tables that this release writes, kept in SQLite's `user_version`.
const VERSION: i64 = 1;

/// Columns that a table must have to be one of ours, in every layout of the field (SDK-CONTRACT.md, "Tables").
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
const NUMBER_COLUMN: &str = "event_number";

/// The names of our tables, with the caller's prefix, quoted for SQL.
#[derive(Debug, Clone)]
pub struct Tables {
    prefix: String,
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
enum Step {
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

/// Makes the database ready: switches it to write-ahead logging, and creates or adopts the tables.
///
/// Without the right to migrate it only looks, and fails with the list of what is missing.
pub(super) fn prepare(connection: &Connection, target: &Target, tables: &Tables) -> Result<(), StoreError> {
    let look = || {
        target
            .patiently(|| missing_steps(connection, tables))
            .map_err(|error| target.error("looking at the tables of", &error))?
            .map_err(|refusal| refusal.into_error(target))
    };
    let plan = look()?;
    if target.access != Access::Migrate {
        return if plan.steps.is_empty() {
            Ok(())
        } else {
            Err(not_ready(target, &plan.steps))
        };
    }
    target.enter_wal(connection)?;
    if plan.steps.is_empty() && plan.version == VERSION {
        return Ok(());
    }
    let failed = |error: rusqlite::Error| target.error("migrating", &error);
    target
        .patiently(|| connection.execute_batch("BEGIN EXCLUSIVE"))
        .map_err(failed)?;
    // Another process may have migrated while this one waited for the lock: look again.
    let migrated = look().and_then(|plan| {
        for step in &plan.steps {
            run(connection, tables, step).map_err(failed)?;
        }
        connection
            .pragma_update(None, "user_version", VERSION)
            .and_then(|()| target.patiently(|| connection.execute_batch("COMMIT")))
            .map_err(failed)
    });
    if migrated.is_err() && !connection.is_autocommit() {
        // Nothing is left to do when this fails too: closing the connection rolls back.
        let _ = connection.execute_batch("ROLLBACK");
    }
    migrated
}

fn not_ready(target: &Target, steps: &[Step]) -> StoreError {
    let list: Vec<String> = steps.iter().map(Step::to_string).collect();
    StoreError::new(
        ErrorKind::Schema,
        format!(
            "the tables of {} are not ready, and this driver must not change them (`migrate: false` or `readonly: true`). \
             Missing: {}. Open the file once with `migrate: true`",
            target.location.name(),
            list.join("; ")
        ),
    )
}

struct Plan {
    version: i64,
    steps: Vec<Step>,
}

/// A database that is not for us.
enum Refusal {
    NewerVersion(i64),
    Foreign { table: String, reason: String },
}

impl Refusal {
    fn into_error(self, target: &Target) -> StoreError {
        let name = target.location.name();
        match self {
            Self::NewerVersion(found) => StoreError::new(
                ErrorKind::Schema,
                format!(
                    "{name} has user_version {found}, and this release knows versions up to {VERSION}: use a newer release of \
                     sandbox-agent-persist; or, if the number belongs to your own application, give the sessions a file of their own"
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

fn missing_steps(connection: &Connection, tables: &Tables) -> rusqlite::Result<Result<Plan, Refusal>> {
    // One read transaction, so that both tables are seen in one state.
    let snapshot = connection.is_autocommit();
    if snapshot {
        connection.execute_batch("BEGIN")?;
    }
    let found = (|| -> rusqlite::Result<_> {
        Ok((
            catalog::version(connection)?,
            catalog::table(connection, &tables.sessions_name())?,
            catalog::table(connection, &tables.events_name())?,
        ))
    })();
    if snapshot {
        connection.execute_batch("COMMIT")?;
    }
    let (version, sessions, events) = found?;
    if version > VERSION {
        return Ok(Err(Refusal::NewerVersion(version)));
    }
    let mut steps = Vec::new();
    for (table, name, required, added, create) in [
        (
            &sessions,
            tables.sessions_name(),
            &SESSION_COLUMNS[..],
            &ADDED_SESSION_COLUMNS[..],
            Step::CreateSessions,
        ),
        (
            &events,
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
            return Ok(Err(Refusal::Foreign { table: name, reason }));
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
    if let Some(events) = &events {
        steps.extend(events_steps(events));
    }
    if let Some(sessions) = &sessions {
        // Once the version is set, only whole numbers are written.
        if version == 0 && has_fractional_times(connection, tables)? {
            steps.push(Step::RoundTimes);
        }
        if !sessions.created_order {
            steps.push(Step::SessionOrder);
        }
    }
    Ok(Ok(Plan { version, steps }))
}

/// Whether a session's time is not a whole number, which a cursor could not name.
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

fn run(connection: &Connection, tables: &Tables, step: &Step) -> rusqlite::Result<()> {
    let Tables {
        prefix,
        sessions,
        events,
    } = tables;
    let sql = match step {
        Step::CreateSessions => format!(
            "CREATE TABLE {sessions} (id TEXT NOT NULL PRIMARY KEY, agent TEXT NOT NULL, agent_session_id TEXT NOT NULL, \
             last_connection_id TEXT NOT NULL, created_at INTEGER NOT NULL, destroyed_at INTEGER, sandbox_id TEXT, \
             session_init_json TEXT, config_options_json TEXT, modes_json TEXT, extra_json TEXT);
             CREATE INDEX \"{prefix}sessions_created_at_id\" ON {sessions} (created_at, id)"
        ),
        // No index on `id`: random ids would halve the speed of writing (DESIGN.md, "One write path"). Not `WITHOUT ROWID`
        // either: it would keep a session's events side by side, which reads half again as fast, but it writes a fifth
        // slower with 32 sessions and a third slower with 512 (ARCHITECTURE.md, "Tables").
        Step::CreateEvents => format!(
            "CREATE TABLE {events} (id TEXT NOT NULL, event_index INTEGER NOT NULL, session_id TEXT NOT NULL, \
             created_at INTEGER NOT NULL, connection_id TEXT NOT NULL, sender TEXT NOT NULL, payload_json TEXT NOT NULL, \
             extra_json TEXT);
             CREATE UNIQUE INDEX \"{prefix}events_session_id_event_index\" ON {events} (session_id, event_index)"
        ),
        Step::AddColumn {
            table,
            column,
            declared_type,
        } => format!("ALTER TABLE \"{table}\" ADD COLUMN {column} {declared_type}"),
        Step::RoundTimes => format!(
            "UPDATE {sessions} SET created_at = CAST(created_at AS INTEGER) WHERE typeof(created_at) = 'real'"
        ),
        Step::RepairIndexes { row } => format!(
            "UPDATE {events} AS stored SET event_index = renumbered.place FROM (
               SELECT {row} AS row, row_number() OVER (PARTITION BY session_id ORDER BY event_index, created_at, id) AS place
               FROM {events} WHERE session_id IN (
                 SELECT session_id FROM {events} WHERE typeof(event_index) <> 'integer'
                 UNION SELECT session_id FROM {events} GROUP BY session_id, event_index HAVING count(*) > 1)
             ) AS renumbered WHERE stored.{row} = renumbered.row"
        ),
        // The number stays, as the row's key; the text beside it is what the SDK calls the event's id.
        Step::TextIds => format!(
            "ALTER TABLE {events} RENAME COLUMN id TO {NUMBER_COLUMN};
             ALTER TABLE {events} ADD COLUMN id TEXT;
             UPDATE {events} SET id = CAST({NUMBER_COLUMN} AS TEXT)"
        ),
        Step::UniquePlace => format!(
            "CREATE UNIQUE INDEX \"{prefix}events_session_id_event_index\" ON {events} (session_id, event_index)"
        ),
        Step::SessionOrder => format!(
            "CREATE INDEX \"{prefix}sessions_created_at_id\" ON {sessions} (created_at, id)"
        ),
    };
    connection.execute_batch(&sql)
}
