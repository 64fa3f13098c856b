//! The tables: what they must have, and what a database lacks of it.
//!
//! The plan is derived from what the database holds ([`super::catalog`]), so that new databases, half-made ones and those
//! that other drivers left in the field all go the same way. `migrate` carries it out.

use std::collections::HashMap;
use std::fmt;

use tokio_postgres::Client;

use super::Tables;
use super::catalog;
use crate::store::postgres::error::Failure;
use crate::store::tables::columns::{Column, DELETED, Data, EVENTS, LABEL_KEY, LABELS, PLACE, SESSION_ORDER, SESSIONS};
use crate::store::tables::found::{FoundColumn, FoundTable};
use crate::store::tables::steps::{self, Refusal};
use crate::store::tables::{TableName, VERSION};

/// One thing that a database lacks.
pub(super) type Step = steps::Step<PostgresStep>;

/// What only a database of Postgres' may lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PostgresStep {
    CreateSchema,
    /// jsonb refuses \u0000 and lone surrogates, and does not keep the order of keys.
    ToJson(TableName, Column),
}

impl fmt::Display for PostgresStep {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::CreateSchema => formatter.write_str("create the schema"),
            Self::ToJson(table, Column { name, .. }) => {
                write!(formatter, "change column {name} of {} from jsonb to json", table.plain)
            }
        }
    }
}

/// Looks at the database, and says what it lacks, in the order in which it is to be mended.
pub(super) async fn plan(client: &Client, tables: &Tables) -> Result<Result<Vec<Step>, Refusal>, Failure> {
    let names = [
        &tables.sessions,
        &tables.events,
        &tables.labels,
        &tables.deleted,
        &tables.version,
    ]
    .map(|table| &*table.plain);
    let found = catalog::tables(client, &tables.schema, &names).await?;
    if let Some(refusal) = refuse_version(client, tables, found.get(&tables.version.plain)).await? {
        return Ok(Err(refusal));
    }
    let mut steps = Vec::new();
    if found.is_empty() && !catalog::has_schema(client, &tables.schema).await? {
        steps.push(Step::OfBackend(PostgresStep::CreateSchema));
    }
    Ok(table_steps(&found, tables).map(|more| {
        steps.extend(more);
        steps
    }))
}

/// What the database lacks, in words; nothing if it lacks nothing. Or why its tables are not for us.
pub(in crate::store::postgres) async fn missing(
    client: &Client,
    tables: &Tables,
) -> Result<Result<Option<String>, Refusal>, Failure> {
    Ok(plan(client, tables)
        .await?
        .map(|steps| (!steps.is_empty()).then(|| steps::list(&steps))))
}

/// What a database lacks that has none of our tables, and perhaps no schema for them.
pub(super) fn steps_of_empty(tables: &Tables) -> Result<Vec<Step>, Refusal> {
    let mut steps = vec![Step::OfBackend(PostgresStep::CreateSchema)];
    steps.extend(table_steps(&HashMap::new(), tables)?);
    Ok(steps)
}

async fn refuse_version(
    client: &Client,
    tables: &Tables,
    found: Option<&FoundTable>,
) -> Result<Option<Refusal>, Failure> {
    let Some(table) = found else {
        return Ok(None);
    };
    let version = table.columns.get("version");
    if table.other_than_table.is_some()
        || table.columns.len() != 1
        || version.is_none_or(|column| column.data_type != "bigint")
    {
        let reason = "it should have one column, version, of type bigint";
        return Ok(Some(Refusal::foreign(&tables.version, reason)));
    }
    let sql = format!("SELECT pg_catalog.max(version) FROM {}", tables.version);
    let row = client.query_typed(&sql, &[]).await?;
    let version: Option<i64> = row.first().map(|row| row.try_get(0)).transpose()?.flatten();
    let newer = version.filter(|version| *version > VERSION);
    Ok(newer.map(|version| Refusal::NewerVersion {
        version,
        place: format!("table {:?}", tables.version.plain),
    }))
}

fn table_steps(found: &HashMap<String, FoundTable>, tables: &Tables) -> Result<Vec<Step>, Refusal> {
    let (sessions, events) = (found.get(&tables.sessions.plain), found.get(&tables.events.plain));
    let mut steps = Vec::new();
    match sessions {
        None => steps.push(Step::CreateSessions),
        Some(found) => {
            // They are replaced by their id.
            steps.extend(column_steps(
                &tables.sessions,
                found,
                &SESSIONS,
                found.is_unique(&["id"]),
            )?);
        }
    }
    match events {
        None => steps.push(Step::CreateEvents),
        Some(found) => {
            steps.extend(column_steps(&tables.events, found, &EVENTS, true)?);
            let has_places = found.is_unique(&PLACE);
            let index = found.columns.get("event_index");
            if !has_places || index.is_none_or(|column| !column.not_null) {
                steps.push(Step::RepairIndexes);
            }
            if !has_places {
                steps.push(Step::UniquePlace);
            }
        }
    }
    for (table, columns, key, create) in [
        (&tables.labels, &LABELS[..], &LABEL_KEY[..], Step::CreateLabels),
        (&tables.deleted, &DELETED[..], &["id"][..], Step::CreateDeleted),
    ] {
        steps.extend(steps::own_table(
            table,
            found.get(&table.plain),
            columns,
            key,
            create,
            gives_back,
        )?);
    }
    if sessions.is_some_and(|sessions| !sessions.is_ordered_by(&SESSION_ORDER)) {
        steps.push(Step::SessionOrder);
    }
    Ok(steps)
}

fn column_steps(
    table: &TableName,
    found: &FoundTable,
    columns: &[Column],
    has_key: bool,
) -> Result<Vec<Step>, Refusal> {
    if let Some(reason) = steps::foreign(found, columns, has_key, gives_back) {
        return Err(Refusal::foreign(table, reason));
    }
    let is_binary = |column: &&Column| {
        let found = found.columns.get(column.name);
        column.data == Data::Json && found.is_some_and(|found| found.data_type == "jsonb")
    };
    let binary = columns.iter().filter(is_binary);
    let to_json = binary.map(|column| Step::OfBackend(PostgresStep::ToJson(table.clone(), *column)));
    Ok(steps::missing_columns(table, found, columns).chain(to_json).collect())
}

/// Whether a column of ours gives back what is put into it.
fn gives_back(column: &Column, found: &FoundColumn) -> bool {
    let is_text = matches!(&*found.data_type, "text" | "character varying");
    match column.data {
        Data::Time => found.data_type == "bigint",
        Data::Index => matches!(&*found.data_type, "bigint" | "integer"),
        Data::Json => is_text || matches!(&*found.data_type, "json" | "jsonb"),
        Data::Id | Data::Text => is_text,
    }
}
