//! What a database lacks, step by step; or why it is not for us.

use std::fmt::{self, Display};

use super::columns::{Column, Presence};
use super::found::{FoundColumn, FoundTable};
use super::{TableName, VERSION};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::message::{Message, StoreOption, message};

/// One thing that a database lacks. `S` is what only databases of one kind may lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<S> {
    /// The table of sessions, with its index.
    CreateSessions,
    /// The table of events, with its index.
    CreateEvents,
    /// The table of labels, with its index.
    CreateLabels,
    /// The table of deleted sessions, with its index.
    CreateDeleted,
    /// A column that an older layout does not have.
    AddColumn(TableName, Column),
    /// Indexes of events that no other event of the session has.
    RepairIndexes,
    /// What keeps them so.
    UniquePlace,
    /// What finds sessions in order.
    SessionOrder,
    /// What only this backend knows.
    OfBackend(S),
}

impl<S: Display> Display for Step<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateSessions => formatter.write_str("create the table of sessions"),
            Self::CreateEvents => formatter.write_str("create the table of events"),
            Self::CreateLabels => formatter.write_str("create the table of session labels"),
            Self::CreateDeleted => formatter.write_str("create the table of deleted sessions"),
            Self::AddColumn(table, column) => write!(formatter, "add column {} to {}", column.name, table.plain),
            Self::RepairIndexes => formatter.write_str("renumber sessions with missing or duplicate event indexes"),
            Self::UniquePlace => formatter.write_str("add a unique index on the events' (session_id, event_index)"),
            Self::SessionOrder => {
                formatter.write_str("add an index on the sessions' (created_at, id), compared byte by byte")
            }
            Self::OfBackend(step) => step.fmt(formatter),
        }
    }
}

/// The steps in one line.
#[must_use]
pub fn list<S: Display>(steps: &[Step<S>]) -> String {
    let list: Vec<String> = steps.iter().map(Step::to_string).collect();
    list.join("; ")
}

/// The error of whoever finds something missing and must not add it; `and` says what there is to know beside the option.
pub fn not_ready<S: Display>(database: &str, steps: &[Step<S>], and: impl Into<Message>) -> StoreError {
    let missing = list(steps);
    let is_missing = |create: fn(&Step<S>) -> bool| steps.iter().any(create);
    let has_none = is_missing(|step| matches!(step, Step::CreateSessions))
        && is_missing(|step| matches!(step, Step::CreateEvents));
    StoreError::new(
        if has_none {
            ErrorKind::NoTables
        } else {
            ErrorKind::Schema
        },
        message![
            format!("the tables of {database} are not ready. Missing: {missing}. Use "),
            StoreOption::Migrate,
            " once, ",
            and,
        ],
    )
}

impl Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerVersion { version, place } => {
                write!(
                    formatter,
                    "the tables have version {version} ({place}), and this release knows versions up to {VERSION}"
                )
            }
            Self::Foreign { table, reason } => {
                write!(
                    formatter,
                    "the table {table:?} does not hold sandbox-agent sessions: {reason}"
                )
            }
        }
    }
}

/// A database that is not for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A later release has changed its tables.
    NewerVersion {
        /// The version of the tables.
        version: i64,
        /// Where it stands.
        place: String,
    },
    /// It has a table of one of our names that is somebody else's.
    Foreign {
        /// The table's name.
        table: String,
        /// Why it is not one of ours; the table is `it`.
        reason: String,
    },
}

impl Refusal {
    /// A table of somebody else's.
    pub fn foreign(table: &TableName, reason: impl Into<String>) -> Self {
        Self::Foreign {
            table: table.plain.clone(),
            reason: reason.into(),
        }
    }

    /// The error for the caller, who may set the option `elsewhere` to have our tables somewhere else.
    #[must_use]
    pub fn into_error(self, database: &str, elsewhere: StoreOption) -> StoreError {
        match self {
            Self::NewerVersion { version, place } => StoreError::new(
                ErrorKind::Schema,
                format!(
                    "the tables of {database} have version {version} ({place}), and this release knows versions up to {VERSION}: \
                     use a newer release of sandbox-agent-persist"
                ),
            ),
            Self::Foreign { table, reason } => StoreError::new(
                ErrorKind::ForeignTable,
                message![
                    format!(
                        "{database} has a table {table:?} that does not hold sandbox-agent sessions: {reason}. It was left untouched. \
                         Set "
                    ),
                    StoreOption::TablePrefix,
                    ", or another ",
                    elsewhere,
                ],
            ),
        }
    }
}

/// The columns that a table lacks.
pub fn missing_columns<'a, S>(
    table: &'a TableName,
    found: &'a FoundTable,
    columns: &'a [Column],
) -> impl Iterator<Item = Step<S>> + 'a {
    let missing = columns.iter().filter(|column| !found.columns.contains_key(column.name));
    missing.map(|column| Step::AddColumn(table.clone(), *column))
}

/// What it takes to have a table that nobody makes but us; or why there is somebody else's.
pub fn own_table<S>(
    table: &TableName,
    found: Option<&FoundTable>,
    columns: &[Column],
    key: &[&str],
    create: Step<S>,
    gives_back: impl Fn(&Column, &FoundColumn) -> bool,
) -> Result<Option<Step<S>>, Refusal> {
    let Some(found) = found else {
        return Ok(Some(create));
    };
    match foreign(found, columns, found.is_unique(key), gives_back) {
        Some(reason) => Err(Refusal::foreign(table, reason)),
        None => Ok(None),
    }
}

/// Why a table is not one of ours, if it is not: it is no table, a column of ours is missing, one that we do not know wants a
/// value, no row can be told from the others, or a column would not give back what is put into it.
#[must_use]
pub fn foreign(
    found: &FoundTable,
    columns: &[Column],
    has_key: bool,
    gives_back: impl Fn(&Column, &FoundColumn) -> bool,
) -> Option<String> {
    if let Some(other) = found.other_than_table {
        return Some(format!("it is {other}"));
    }
    let required = columns.iter().filter(|column| column.presence == Presence::Always);
    let missing = required.map(|column| column.name);
    let missing: Vec<&str> = missing.filter(|name| !found.columns.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Some(format!("it has no column {}", missing.join(", ")));
    }
    let is_unknown = |name: &str| columns.iter().all(|column| column.name != name);
    let unknown = found.columns.iter();
    let unknown = unknown.filter(|(name, column)| column.must_be_given && is_unknown(name));
    let mut unknown: Vec<&str> = unknown.map(|(name, _)| name.as_str()).collect();
    if !unknown.is_empty() {
        unknown.sort_unstable();
        return Some(format!("it wants a value for {}", unknown.join(", ")));
    }
    if !has_key {
        return Some(String::from("nothing makes its id unique"));
    }
    let loses = |column: &&Column| {
        let found = found.columns.get(column.name);
        found.is_some_and(|found| found.generated || !gives_back(column, found))
    };
    let losing: Vec<&str> = columns.iter().filter(loses).map(|column| column.name).collect();
    (!losing.is_empty()).then(|| format!("it could not give back what is put into {}", losing.join(", ")))
}
