//! The tables: what they must have, and what a database lacks of it.
//!
//! The plan is derived from what the database holds ([`super::catalog`]), so that new files, half-made ones and those that
//! other drivers left in the field all go the same way. `migrate` carries it out.

use std::fmt;

use rusqlite::Connection;

use super::Tables;
use super::catalog::{self, Affinity};
use crate::store::tables::columns::{Column, DELETED, Data, EVENTS, LABEL_KEY, LABELS, PLACE, SESSION_ORDER, SESSIONS};
use crate::store::tables::found::{FoundColumn, FoundTable};
use crate::store::tables::steps::{self, Refusal};
use crate::store::tables::{TableName, VERSION};

/// The column that keeps the number of an event that had no other id.
pub(in crate::store::sqlite) const NUMBER_COLUMN: &str = "event_number";

/// What is true of a session whose time is not a whole number.
pub(super) const HAS_FRACTIONAL_TIME: &str = "typeof(created_at) = 'real'";

/// What is true of an event without an index.
pub(super) const HAS_NO_INDEX: &str = "typeof(event_index) <> 'integer'";

/// One thing that a database lacks.
pub(super) type Step = steps::Step<SqliteStep>;

/// What only a file of SQLite's may lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SqliteStep {
    RoundTimes,
    TextIds,
}

impl fmt::Display for SqliteStep {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::RoundTimes => "round times that are not whole milliseconds",
            Self::TextIds => "turn the numeric event ids into text",
        })
    }
}

/// What a database lacks.
pub(super) struct Plan {
    /// In the order in which they are to be run.
    pub(super) steps: Vec<Step>,
    /// Where the version is to be written when they are done, unless it stands there.
    pub(super) write_version: Option<VersionPlace>,
    /// What tells one event's row from another.
    pub(super) event_key: &'static str,
}

/// Where a database keeps the version of our tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionPlace {
    /// SQLite's `user_version`, in a file that has no tables but ours.
    UserVersion,
    /// The one row of a table of ours, in a file where `user_version` is, or was, somebody else's.
    Table,
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

/// What a database lacks, in words; nothing if it lacks nothing. Or why its tables are not for us.
pub(in crate::store::sqlite) fn missing(
    connection: &Connection,
    tables: &Tables,
) -> rusqlite::Result<Result<Option<String>, Refusal>> {
    Ok(plan(connection, tables)?.map(|plan| (!plan.steps.is_empty()).then(|| steps::list(&plan.steps))))
}

/// What was found of our tables.
struct Found {
    sessions: Option<FoundTable>,
    events: Option<FoundTable>,
    labels: Option<FoundTable>,
    deleted: Option<FoundTable>,
    /// Whether it is only their primary key that tells one event's row from another.
    events_without_rowid: bool,
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
        let (sessions_name, events_name) = (&tables.sessions.plain, &tables.events.plain);
        let (labels_name, deleted_name) = (&tables.labels.plain, &tables.deleted.plain);
        let [copy, changes, replaced, state] = tables.rebuild.all().map(|table| &table.plain);
        let ours = [
            sessions_name,
            events_name,
            labels_name,
            deleted_name,
            copy,
            changes,
            replaced,
            state,
        ];
        let version_table = catalog::table(connection, &tables.version.plain)?;
        if let Some(reason) = version_table.as_ref().and_then(foreign_version) {
            return Ok(Err(Refusal::foreign(&tables.version, reason)));
        }
        let (version_place, version) = if version_table.is_some() {
            let Some(version) = catalog::table_version(connection, &tables.version)? else {
                let reason = "its version is not a whole number";
                return Ok(Err(Refusal::foreign(&tables.version, reason)));
            };
            (VersionPlace::Table, version)
        } else if catalog::has_other_tables(connection, ours)? {
            (VersionPlace::Table, 0)
        } else {
            (VersionPlace::UserVersion, catalog::user_version(connection)?)
        };
        let sessions = catalog::table(connection, sessions_name)?;
        let events = catalog::table(connection, events_name)?;
        // What only other programs write is found by a look at every row: not where the version says that it was mended.
        let is_searched = version != VERSION;
        let any = |found: &Option<FoundTable>, table: &TableName, column: &str, condition: &str| {
            let has_column = found.as_ref().is_some_and(|found| found.columns.contains_key(column));
            Ok::<bool, rusqlite::Error>(is_searched && has_column && catalog::has_row(connection, table, condition)?)
        };
        Ok(Ok(Self {
            fractional_times: any(&sessions, &tables.sessions, "created_at", HAS_FRACTIONAL_TIME)?,
            missing_indexes: any(&events, &tables.events, "event_index", HAS_NO_INDEX)?,
            events_without_rowid: catalog::is_without_rowid(connection, events_name)?,
            sessions,
            events,
            labels: catalog::table(connection, labels_name)?,
            deleted: catalog::table(connection, deleted_name)?,
            version_place,
            version,
        }))
    }

    fn plan(&self, tables: &Tables) -> Result<Plan, Refusal> {
        if self.version > VERSION {
            return Err(Refusal::NewerVersion {
                version: self.version,
                place: match self.version_place {
                    VersionPlace::UserVersion => String::from("`user_version`"),
                    VersionPlace::Table => format!("table {:?}", tables.version.plain),
                },
            });
        }
        let mut steps = Vec::new();
        match &self.sessions {
            None => steps.push(Step::CreateSessions),
            Some(sessions) => {
                // They are replaced by their id.
                let has_key = sessions.is_unique(&["id"]);
                if let Some(reason) = steps::foreign(sessions, &SESSIONS, has_key, gives_back) {
                    return Err(Refusal::foreign(&tables.sessions, reason));
                }
                steps.extend(steps::missing_columns(&tables.sessions, sessions, &SESSIONS));
            }
        }
        match &self.events {
            None => steps.push(Step::CreateEvents),
            Some(events) => {
                // They need a key by which they can be renumbered if they have to be.
                let has_key = events.is_unique(&["id"]) || events.is_unique(&PLACE) || !self.events_without_rowid;
                let gives_back = |column: &Column, found: &FoundColumn| {
                    gives_back(column, found) || (column.name == "id" && has_numeric_ids(events))
                };
                if let Some(reason) = steps::foreign(events, &EVENTS, has_key, gives_back) {
                    return Err(Refusal::foreign(&tables.events, reason));
                }
                steps.extend(steps::missing_columns(&tables.events, events, &EVENTS));
                steps.extend(self.event_repairs(events));
            }
        }
        for (table, found, columns, key, create) in [
            (
                &tables.labels,
                &self.labels,
                &LABELS[..],
                &LABEL_KEY[..],
                Step::CreateLabels,
            ),
            (
                &tables.deleted,
                &self.deleted,
                &DELETED[..],
                &["id"][..],
                Step::CreateDeleted,
            ),
        ] {
            steps.extend(steps::own_table(
                table,
                found.as_ref(),
                columns,
                key,
                create,
                gives_back,
            )?);
        }
        if self.fractional_times {
            steps.push(Step::OfBackend(SqliteStep::RoundTimes));
        }
        if let Some(sessions) = &self.sessions
            && !sessions.is_ordered_by(&SESSION_ORDER)
        {
            steps.push(Step::SessionOrder);
        }
        Ok(Plan {
            steps,
            write_version: (self.version < VERSION).then_some(self.version_place),
            event_key: if self.events_without_rowid { "id" } else { "rowid" },
        })
    }

    fn event_repairs(&self, events: &FoundTable) -> Vec<Step> {
        let has_places = events.is_unique(&PLACE);
        let mut steps = Vec::new();
        if !has_places || self.missing_indexes {
            steps.push(Step::RepairIndexes);
        }
        if has_numeric_ids(events) {
            steps.push(Step::OfBackend(SqliteStep::TextIds));
        }
        if !has_places {
            steps.push(Step::UniquePlace);
        }
        steps
    }
}

/// Why the table is not the one that we keep the version in, if it is not.
fn foreign_version(table: &FoundTable) -> Option<&'static str> {
    let version = table.columns.get("version");
    let ours = table.other_than_table.is_none()
        && table.columns.len() == 1
        && version.is_some_and(|column| !column.generated && Affinity::of(&column.data_type) == Affinity::Integer);
    (!ours).then_some("it should have one column, version, of type INTEGER")
}

fn has_numeric_ids(events: &FoundTable) -> bool {
    events.columns.get("id").is_some_and(|id| id.data_type == "INTEGER")
}

/// Whether a column of ours gives back what is put into it: SQLite makes numbers of text in some, and text of numbers in
/// others.
fn gives_back(column: &Column, found: &FoundColumn) -> bool {
    let affinity = Affinity::of(&found.data_type);
    match column.data {
        Data::Time | Data::Index => matches!(affinity, Affinity::Integer | Affinity::Numeric | Affinity::Blob),
        Data::Json => true,
        Data::Id | Data::Text => matches!(affinity, Affinity::Text | Affinity::Blob),
    }
}
