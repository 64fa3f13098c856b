//! The tables: what they must have, and what a database lacks of it.
//!
//! The plan is derived from what the database holds ([`super::catalog`]), so that new files, half-made ones and those that
//! other drivers left in the field all go the same way. `migrate` carries it out.

use std::fmt;

use rusqlite::Connection;

use super::Tables;
use super::catalog::{self, Affinity, Column, Table};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::sqlite::connection::Target;
use crate::store::tables::{EVENT_COLUMNS, SESSION_COLUMNS, foreign_columns};

/// The version of the tables that this release writes.
pub(super) const VERSION: i64 = 1;

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

/// The columns of an event's place, as [`Table::is_unique`] names them.
const PLACE: &str = "session_id,event_index";

/// The column that keeps the number of an event that had no other id.
pub(super) const NUMBER_COLUMN: &str = "event_number";

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
    /// Where the version is to be written when they are done, unless it stands there.
    pub(super) write_version: Option<VersionPlace>,
}

/// Where a database keeps the version of our tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionPlace {
    /// SQLite's `user_version`, in a file that has no tables but ours.
    UserVersion,
    /// The one row of a table of ours, in a file where `user_version` is, or was, somebody else's.
    Table,
}

/// A database that is not for us.
pub(super) enum Refusal {
    NewerVersion { found: i64, place: String },
    Foreign { table: String, reason: String },
}

impl Refusal {
    fn foreign(table: String, reason: impl Into<String>) -> Self {
        Self::Foreign {
            table,
            reason: reason.into(),
        }
    }

    pub(super) fn into_error(self, target: &Target) -> StoreError {
        let name = target.location.name();
        match self {
            Self::NewerVersion { found, place } => StoreError::new(
                ErrorKind::Schema,
                format!(
                    "the tables of {name} have version {found} ({place}), and this release knows versions up to \
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
    Ok(found?.and_then(|found| found.plan(tables)))
}

/// What was found of our tables.
struct Found {
    sessions: Option<Table>,
    events: Option<Table>,
    /// Where the version stands, or is to stand.
    version_place: VersionPlace,
    /// 0 when nobody wrote one.
    version: i64,
    /// Whether a session's time is not a whole number, which a cursor could not name. We write whole numbers only.
    fractional_times: bool,
    /// Whether an event has no index, though a unique index would allow none twice. We always write one.
    missing_indexes: bool,
}

impl Found {
    fn look(connection: &Connection, tables: &Tables) -> rusqlite::Result<Result<Self, Refusal>> {
        let (sessions_name, events_name) = (tables.sessions_name(), tables.events_name());
        let version_name = tables.version_name();
        let version_table = catalog::table(connection, &version_name)?;
        if let Some(reason) = version_table.as_ref().and_then(foreign_version) {
            return Ok(Err(Refusal::foreign(version_name, reason)));
        }
        let (version_place, version) = if version_table.is_some() {
            let Some(version) = catalog::table_version(connection, &tables.version)? else {
                return Ok(Err(Refusal::foreign(version_name, "its version is not a whole number")));
            };
            (VersionPlace::Table, version)
        } else if catalog::has_other_tables(connection, [&sessions_name, &events_name])? {
            (VersionPlace::Table, 0)
        } else {
            (VersionPlace::UserVersion, catalog::user_version(connection)?)
        };
        let sessions = catalog::table(connection, &sessions_name)?;
        let events = catalog::table(connection, &events_name)?;
        // What only other programs write is found by a look at every row: not where the version says that it was mended.
        let is_searched = version != VERSION;
        let any = |table: &Option<Table>, name: &str, column: &str, condition: &str| {
            let has_column = table.as_ref().is_some_and(|table| table.columns.contains_key(column));
            Ok::<bool, rusqlite::Error>(is_searched && has_column && exists(connection, name, condition)?)
        };
        Ok(Ok(Self {
            fractional_times: any(&sessions, &tables.sessions, "created_at", "typeof(created_at) = 'real'")?,
            missing_indexes: any(
                &events,
                &tables.events,
                "event_index",
                "typeof(event_index) <> 'integer'",
            )?,
            sessions,
            events,
            version_place,
            version,
        }))
    }

    fn plan(&self, tables: &Tables) -> Result<Plan, Refusal> {
        if self.version > VERSION {
            return Err(Refusal::NewerVersion {
                found: self.version,
                place: match self.version_place {
                    VersionPlace::UserVersion => String::from("`user_version`"),
                    VersionPlace::Table => format!("table {:?}", tables.version_name()),
                },
            });
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
                return Err(Refusal::foreign(name, reason));
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
        if let Some(events) = &self.events {
            steps.extend(events_steps(events, self.missing_indexes));
        }
        if self.fractional_times {
            steps.push(Step::RoundTimes);
        }
        if self
            .sessions
            .as_ref()
            .is_some_and(|sessions| !sessions.is_ordered_by("created_at,id"))
        {
            steps.push(Step::SessionOrder);
        }
        Ok(Plan {
            steps,
            write_version: (self.version < VERSION).then_some(self.version_place),
        })
    }
}

fn exists(connection: &Connection, table: &str, condition: &str) -> rusqlite::Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {condition})");
    connection.query_row(&sql, [], |row| row.get(0))
}

/// Why the table is not the one that we keep the version in, if it is not.
fn foreign_version(table: &Table) -> Option<&'static str> {
    let version = table.columns.get("version");
    let ours = table.kind == "table"
        && table.columns.len() == 1
        && version.is_some_and(|column| !column.generated && column.affinity() == Affinity::Integer);
    (!ours).then_some("it should have one column, version, of type INTEGER")
}

/// Why the table is not one of ours, if it is not.
fn foreign(table: &Table, required: &[&str], added: &[(&str, &str)]) -> Option<String> {
    if table.kind != "table" {
        return Some(format!("it is a {}", table.kind));
    }
    let ours = |name: &str| required.contains(&name) || added.iter().any(|(column, _)| *column == name);
    let columns = table.columns.iter();
    let columns = columns.map(|(name, column)| (name.as_str(), column.must_be_given));
    if let Some(reason) = foreign_columns(required, ours, columns) {
        return Some(reason);
    }
    if !table.can_be_keyed() {
        return Some(String::from("nothing makes its id unique"));
    }
    let mut unusable: Vec<&str> = table
        .columns
        .iter()
        .filter(|(name, column)| ours(name) && !usable(name, column, table))
        .map(|(name, _)| name.as_str())
        .collect();
    unusable.sort_unstable();
    (!unusable.is_empty()).then(|| format!("it could not give back what is put into {}", unusable.join(", ")))
}

impl Table {
    fn is_events(&self) -> bool {
        self.columns.contains_key("payload_json")
    }

    /// Sessions are replaced by their id. Events need a key too, by which they can be renumbered if they have to be.
    fn can_be_keyed(&self) -> bool {
        self.is_unique("id") || (self.is_events() && (self.is_unique(PLACE) || !self.without_rowid))
    }

    fn has_numeric_ids(&self) -> bool {
        self.is_events() && self.columns.get("id").is_some_and(|id| id.declared_type == "INTEGER")
    }
}

/// Whether a column of ours gives back what is put into it: SQLite makes numbers of text in some, and text of numbers in
/// others.
fn usable(name: &str, column: &Column, table: &Table) -> bool {
    let affinity = column.affinity();
    !column.generated
        && match name {
            "id" if table.has_numeric_ids() => true,
            "created_at" | "destroyed_at" | "event_index" => {
                matches!(affinity, Affinity::Integer | Affinity::Numeric | Affinity::Blob)
            }
            name if name.ends_with("_json") => true,
            _ => matches!(affinity, Affinity::Text | Affinity::Blob),
        }
}

fn events_steps(events: &Table, missing_indexes: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if !events.is_unique(PLACE) || missing_indexes {
        let row = if events.without_rowid { "id" } else { "rowid" };
        steps.push(Step::RepairIndexes { row });
    }
    if events.has_numeric_ids() {
        steps.push(Step::TextIds);
    }
    if !events.is_unique(PLACE) {
        steps.push(Step::UniquePlace);
    }
    steps
}
