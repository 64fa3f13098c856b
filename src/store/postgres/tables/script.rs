//! The steps in SQL, and the rights that a driver needs which only uses the tables. `migrate` runs these statements; `plan` and the
//! command line show them.

use tokio_postgres::Client;

use super::catalog::{self, Trigger};
use super::schema::{PostgresStep, Step, steps_of_empty};
use super::{Tables, quote};
use crate::store::postgres::error::Failure;
use crate::store::tables::columns::{Column, DELETED, Data, EVENTS, LABELS, SESSIONS, definitions};
use crate::store::tables::plan::SqlStep;
use crate::store::tables::steps::Refusal;
use crate::store::tables::{BEYOND_INDEXES as BEYOND, TableName, VERSION};

/// The steps, and after them the version; nothing, if there are none.
pub(super) async fn script(client: &Client, tables: &Tables, steps: &[Step]) -> Result<Vec<SqlStep>, Failure> {
    let triggers = if steps.contains(&Step::RepairIndexes) {
        catalog::triggers(client, &tables.events).await?
    } else {
        Vec::new()
    };
    Ok(script_with(tables, steps, &triggers))
}

/// The same for a schema that has no tables of ours, or is not there yet.
pub(super) fn script_of_empty(tables: &Tables) -> Result<Vec<SqlStep>, Refusal> {
    Ok(script_with(tables, &steps_of_empty(tables)?, &[]))
}

fn script_with(tables: &Tables, steps: &[Step], triggers: &[Trigger]) -> Vec<SqlStep> {
    if steps.is_empty() {
        return Vec::new();
    }
    let of_steps = steps
        .iter()
        .map(|step| SqlStep::new(step.to_string(), statements(tables, step, triggers)));
    of_steps.chain([write_version(&tables.version)]).collect()
}

/// A role of the database that uses the tables, and owns none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role(String);

impl Role {
    /// Checks that the name can be one. It is quoted wherever SQL has it.
    pub fn parse(name: &str) -> Result<Self, String> {
        // Postgres would cut a longer name short, which could be the name of another role.
        if name.is_empty() || name.len() > 63 || name.contains('\0') {
            return Err(String::from("write the name of a role: 1 to 63 bytes, without U+0000"));
        }
        Ok(Self(name.to_owned()))
    }
}

/// What lets a role use the tables: the rights that docs/postgres.md names.
#[must_use]
pub fn grants(tables: &Tables, Role(role): &Role) -> SqlStep {
    let Tables {
        sessions,
        events,
        labels,
        deleted,
        version,
        ..
    } = tables;
    let (schema, role) = (tables.quoted_schema(), quote(role));
    SqlStep::new(
        format!("let the role {role} use the tables"),
        vec![
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {sessions}, {events}, {labels}, {deleted} TO {role}"),
            format!("GRANT SELECT ON {version} TO {role}"),
        ],
    )
}

fn write_version(version: &TableName) -> SqlStep {
    SqlStep::new(
        format!("write down version {VERSION} of the tables"),
        vec![
            format!("CREATE TABLE IF NOT EXISTS {version} (version bigint NOT NULL)"),
            format!("INSERT INTO {version} SELECT {VERSION} WHERE NOT EXISTS (SELECT FROM {version})"),
            format!("UPDATE {version} SET version = {VERSION}"),
        ],
    )
}

fn statements(tables: &Tables, step: &Step, triggers: &[Trigger]) -> Vec<String> {
    let (sessions, events, labels, deleted) = (&tables.sessions, &tables.events, &tables.labels, &tables.deleted);
    match step {
        // Where it was not found, somebody may make it meanwhile; and the script for a new schema need not know.
        Step::OfBackend(PostgresStep::CreateSchema) => {
            vec![format!("CREATE SCHEMA IF NOT EXISTS {}", tables.quoted_schema())]
        }
        Step::CreateSessions => vec![
            format!(
                "CREATE TABLE {sessions} ({}, PRIMARY KEY (id))",
                definitions(&SESSIONS, data_type)
            ),
            order_sessions(sessions),
        ],
        // No index on `id`: random ids would halve the speed of writing.
        Step::CreateEvents => vec![
            format!("CREATE TABLE {events} ({})", definitions(&EVENTS, data_type)),
            make_places_unique(events),
        ],
        Step::CreateLabels => vec![
            format!(
                "CREATE TABLE {labels} ({}, PRIMARY KEY (session_id, name))",
                definitions(&LABELS, data_type)
            ),
            format!("CREATE INDEX ON {labels} (name, value)"),
        ],
        Step::CreateDeleted => vec![
            format!(
                "CREATE TABLE {deleted} ({}, PRIMARY KEY (id))",
                definitions(&DELETED, data_type)
            ),
            format!("CREATE INDEX ON {deleted} (deleted_at)"),
        ],
        Step::AddColumn(table, column) => vec![format!(
            "ALTER TABLE {table} ADD COLUMN {} {}",
            column.name,
            data_type(column.data)
        )],
        Step::OfBackend(PostgresStep::ToJson(table, Column { name, .. })) => vec![format!(
            "ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT, \
             ALTER COLUMN {name} TYPE pg_catalog.json USING {name}::pg_catalog.json"
        )],
        Step::RepairIndexes => {
            // The owner's triggers must not fire for, or forbid, what the owner did not do.
            let disable = triggers.iter().map(|trigger| trigger.disable.clone());
            let enable = triggers.iter().map(|trigger| trigger.enable.clone());
            disable.chain(repair_indexes(events)).chain(enable).collect()
        }
        Step::UniquePlace => vec![make_places_unique(events)],
        Step::SessionOrder => vec![order_sessions(sessions)],
    }
}

/// By way of numbers that no session has, so that no two events meet at one index meanwhile.
fn repair_indexes(events: &TableName) -> Vec<String> {
    let misnumbered = misnumbered_sessions(events);
    vec![
        format!("LOCK TABLE {events} IN ACCESS EXCLUSIVE MODE"),
        format!("ALTER TABLE {events} ALTER COLUMN event_index TYPE bigint"),
        format!(
            "UPDATE {events} AS stored SET event_index = renumbered.place + {BEYOND} FROM (\
               SELECT tableoid, ctid, pg_catalog.row_number() OVER (\
                 PARTITION BY session_id ORDER BY event_index NULLS FIRST, created_at, id COLLATE pg_catalog.\"C\") AS place \
               FROM {events} WHERE session_id IN ({misnumbered})\
             ) AS renumbered WHERE stored.tableoid = renumbered.tableoid AND stored.ctid = renumbered.ctid"
        ),
        format!("UPDATE {events} SET event_index = event_index - {BEYOND} WHERE event_index > {BEYOND}"),
        format!("ALTER TABLE {events} ALTER COLUMN event_index SET NOT NULL"),
    ]
}

/// Selects the sessions with events that have no index, or one that another has.
pub(super) fn misnumbered_sessions(events: &TableName) -> String {
    format!(
        "SELECT session_id FROM {events} WHERE event_index IS NULL \
         UNION SELECT session_id FROM {events} GROUP BY session_id, event_index HAVING pg_catalog.count(*) > 1"
    )
}

fn make_places_unique(events: &TableName) -> String {
    format!("CREATE UNIQUE INDEX ON {events} (session_id, event_index)")
}

fn order_sessions(sessions: &TableName) -> String {
    format!("CREATE INDEX ON {sessions} (created_at, id COLLATE pg_catalog.\"C\")")
}

/// Types and a collation of Postgres' own, by the names that mean them whatever the `search_path` is.
pub(in crate::store::postgres) fn data_type(data: Data) -> &'static str {
    match data {
        // "C" compares bytes: the order that the SDK's own drivers have, the same on every server, and the quickest.
        Data::Id => "pg_catalog.text COLLATE pg_catalog.\"C\"",
        Data::Text => "pg_catalog.text",
        Data::Time | Data::Index => "bigint",
        Data::Json => "pg_catalog.json",
    }
}
