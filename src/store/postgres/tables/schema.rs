//! The tables: what they must have, and what a database lacks of it.
//!
//! The plan is derived from what the database holds ([`super::catalog`]), so that new databases, half-made ones and those
//! that other drivers left in the field all go the same way. `migrate` carries it out.

use std::collections::HashMap;
use std::fmt;

use tokio_postgres::Client;

use super::Tables;
use super::catalog::{self, Column, Kind, Table};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::postgres::error::Failure;
use crate::store::tables::{EVENT_COLUMNS, SESSION_COLUMNS, foreign_columns};

/// The version of the tables that this release writes, kept in a table of one row.
pub(super) const VERSION: i64 = 1;

/// Columns that an older layout may lack.
const ADDED_SESSION_COLUMNS: [(&str, &str); 6] = [
    ("destroyed_at", "bigint"),
    ("sandbox_id", "pg_catalog.text"),
    ("session_init_json", "pg_catalog.json"),
    ("config_options_json", "pg_catalog.json"),
    ("modes_json", "pg_catalog.json"),
    ("extra_json", "pg_catalog.json"),
];
const ADDED_EVENT_COLUMNS: [(&str, &str); 2] = [("event_index", "bigint"), ("extra_json", "pg_catalog.json")];

/// The columns of an event's place, as [`Table::is_unique`] names them.
const PLACE: &str = "session_id,event_index";

/// The order of sessions, as [`Table::is_ordered_by`] names it.
const SESSION_ORDER: &str = "created_at,id COLLATE \"C\"";

/// One thing that a database lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    CreateSchema,
    CreateSessions,
    CreateEvents,
    AddColumn {
        table: String,
        column: &'static str,
        data_type: &'static str,
    },
    ToJson {
        table: String,
        column: String,
    },
    RepairIndexes,
    UniquePlace,
    SessionOrder,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::CreateSchema => formatter.write_str("create the schema"),
            Self::CreateSessions => formatter.write_str("create the table of sessions"),
            Self::CreateEvents => formatter.write_str("create the table of events"),
            Self::AddColumn { table, column, .. } => write!(formatter, "add column {column} to {table}"),
            Self::ToJson { table, column } => write!(formatter, "change column {column} of {table} from jsonb to json"),
            Self::RepairIndexes => formatter.write_str("renumber sessions with missing or duplicate event indexes"),
            Self::UniquePlace => formatter.write_str("add a unique index on the events' (session_id, event_index)"),
            Self::SessionOrder => formatter.write_str("add an index on the sessions' (created_at, id COLLATE \"C\")"),
        }
    }
}

/// A database that is not for us.
#[derive(Debug)]
pub(super) enum Refusal {
    NewerVersion(i64),
    Foreign { table: String, reason: String },
}

impl Refusal {
    pub(super) fn into_error(self, database: &str) -> StoreError {
        match self {
            Self::NewerVersion(found) => StoreError::new(
                ErrorKind::Schema,
                format!(
                    "the tables of {database} have version {found}, and this release knows versions up to {VERSION}: use a \
                     newer release of sandbox-agent-persist"
                ),
            ),
            Self::Foreign { table, reason } => StoreError::new(
                ErrorKind::ForeignTable,
                format!(
                    "{database} has a table {table:?} that does not hold sandbox-agent sessions: {reason}. It was left \
                     untouched. Set `tablePrefix`, or use another `schema`"
                ),
            ),
        }
    }
}

/// Looks at the database, and says what it lacks, in the order in which it is to be mended.
pub(super) async fn plan(client: &Client, tables: &Tables) -> Result<Result<Vec<Step>, Refusal>, Failure> {
    let (sessions, events, version) = (tables.sessions_name(), tables.events_name(), tables.version_name());
    let names = [sessions.as_str(), events.as_str(), version.as_str()];
    let found = catalog::tables(client, &tables.schema, &names).await?;
    if let Some(refusal) = refuse_version(client, tables, found.get(&version)).await? {
        return Ok(Err(refusal));
    }
    let mut steps = Vec::new();
    if found.is_empty() && !catalog::has_schema(client, &tables.schema).await? {
        steps.push(Step::CreateSchema);
    }
    match table_steps(&found, tables) {
        Ok(more) => steps.extend(more),
        Err(refusal) => return Ok(Err(refusal)),
    }
    Ok(Ok(steps))
}

async fn refuse_version(client: &Client, tables: &Tables, found: Option<&Table>) -> Result<Option<Refusal>, Failure> {
    let Some(table) = found else {
        return Ok(None);
    };
    let version = table.columns.get("version");
    if table.kind != Kind::Table
        || table.columns.len() != 1
        || version.is_none_or(|column| column.data_type != "bigint")
    {
        return Ok(Some(Refusal::Foreign {
            table: tables.version_name(),
            reason: String::from("it should have one column, version, of type bigint"),
        }));
    }
    let sql = format!("SELECT pg_catalog.max(version) FROM {}", tables.version);
    let row = client.query_typed(&sql, &[]).await?;
    let version: Option<i64> = row.first().map(|row| row.try_get(0)).transpose()?.flatten();
    Ok(version.filter(|version| *version > VERSION).map(Refusal::NewerVersion))
}

fn table_steps(found: &HashMap<String, Table>, tables: &Tables) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for (name, required, added, create) in [
        (
            tables.sessions_name(),
            &SESSION_COLUMNS[..],
            &ADDED_SESSION_COLUMNS[..],
            Step::CreateSessions,
        ),
        (
            tables.events_name(),
            &EVENT_COLUMNS[..],
            &ADDED_EVENT_COLUMNS[..],
            Step::CreateEvents,
        ),
    ] {
        let Some(table) = found.get(&name) else {
            steps.push(create);
            continue;
        };
        if let Some(reason) = foreign(table, required, added) {
            return Err(Refusal::Foreign { table: name, reason });
        }
        steps.extend(column_steps(&name, table, added));
    }
    if let Some(events) = found.get(&tables.events_name())
        && !(events.is_unique(PLACE) && events.columns.get("event_index").is_some_and(|column| column.not_null))
    {
        steps.push(Step::RepairIndexes);
        if !events.is_unique(PLACE) {
            steps.push(Step::UniquePlace);
        }
    }
    if found
        .get(&tables.sessions_name())
        .is_some_and(|sessions| !sessions.is_ordered_by(SESSION_ORDER))
    {
        steps.push(Step::SessionOrder);
    }
    Ok(steps)
}

fn column_steps(name: &str, table: &Table, added: &[(&'static str, &'static str)]) -> Vec<Step> {
    let missing = added.iter().filter(|(column, _)| !table.columns.contains_key(*column));
    let mut steps: Vec<Step> = missing
        .map(|&(column, data_type)| Step::AddColumn {
            table: name.to_owned(),
            column,
            data_type,
        })
        .collect();
    // jsonb refuses \u0000 and lone surrogates, and does not keep the order of keys.
    let binary = table.columns.iter().filter(|(column, found)| {
        (*column == "payload_json" || added.iter().any(|(name, _)| name == column)) && found.data_type == "jsonb"
    });
    let mut binary: Vec<&String> = binary.map(|(column, _)| column).collect();
    binary.sort_unstable();
    steps.extend(binary.into_iter().map(|column| Step::ToJson {
        table: name.to_owned(),
        column: column.clone(),
    }));
    steps
}

/// Why the table is not one of ours, if it is not.
fn foreign(table: &Table, required: &[&str], added: &[(&str, &str)]) -> Option<String> {
    if let Kind::Other(kind) = table.kind {
        return Some(format!("it is {kind}"));
    }
    let ours = |name: &str| required.contains(&name) || added.iter().any(|(column, _)| *column == name);
    let columns = table.columns.iter();
    let columns = columns.map(|(name, column)| (name.as_str(), column.must_be_given));
    if let Some(reason) = foreign_columns(required, ours, columns) {
        return Some(reason);
    }
    // Sessions are replaced by their id.
    if !required.contains(&"payload_json") && !table.is_unique("id") {
        return Some(String::from("nothing makes its id unique"));
    }
    let mut unusable: Vec<&str> = table
        .columns
        .iter()
        .filter(|(name, column)| ours(name) && !usable(name, column))
        .map(|(name, _)| name.as_str())
        .collect();
    unusable.sort_unstable();
    (!unusable.is_empty()).then(|| format!("it could not give back what is put into {}", unusable.join(", ")))
}

/// Whether a column of ours gives back what is put into it.
fn usable(name: &str, column: &Column) -> bool {
    let text = matches!(&*column.data_type, "text" | "character varying");
    !column.generated
        && match name {
            "created_at" | "destroyed_at" => column.data_type == "bigint",
            "event_index" => matches!(&*column.data_type, "bigint" | "integer"),
            name if name.ends_with("_json") => text || matches!(&*column.data_type, "json" | "jsonb"),
            _ => text,
        }
}
