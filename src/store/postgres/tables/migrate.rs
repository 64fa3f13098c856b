//! Makes a database's tables ready: runs the steps that `schema` finds missing, in one transaction under an advisory
//! lock. `preparation` calls it before the first statement of a driver.

use std::rc::Rc;
use std::time::Duration;

use futures_util::join;
use tokio_postgres::Client;

use super::Tables;
use super::catalog;
use super::schema::{PostgresStep, Step, plan};
use crate::store::error::StoreError;
use crate::store::message::StoreOption;
use crate::store::postgres::database::{Database, Purpose};
use crate::store::postgres::error::Failure;
use crate::store::postgres::options::Access;
use crate::store::postgres::rebuild;
use crate::store::postgres::statement::begin;
use crate::store::tables::columns::{Column, DELETED, Data, EVENTS, LABELS, SESSIONS, definitions};
use crate::store::tables::steps::{Refusal, list, not_ready};
use crate::store::tables::{BEYOND_INDEXES as BEYOND, VERSION};

/// The advisory lock under which tables are changed: one a database, so that those who start at once go one by one.
pub(in crate::store::postgres) const LOCK: &str =
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('sandbox-agent-persist migration', 0))";

/// Those that the server knows: PostgreSQL 17 has another one.
const NO_TIMEOUTS: &str = "SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings \
                           WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout')";

/// A replica that vanishes in the middle of a migration keeps the others waiting for so long.
const SILENCE: Duration = Duration::from_secs(10);

/// Makes the tables ready. It looks first, so that a user with no right but to read and write needs no other when there is
/// nothing to do; without the right to migrate it fails with the list of what is missing.
pub(super) async fn prepare(database: &Rc<Database>) -> Result<(), StoreError> {
    let (tables, name) = (&database.options.tables, database.options.target.name());
    let (steps, is_interrupted) = database
        .run(Purpose::Prepare, database.deadline(), async |client| {
            let (plan, is_interrupted) = join!(plan(client, tables), rebuild::is_interrupted(client, tables));
            // Who may not even look cannot remove it.
            Ok((plan?, is_interrupted.unwrap_or(false)))
        })
        .await
        .map_err(|failure| failure.into_error(&format!("looking at the tables of {name}")))?;
    let steps = steps.map_err(|refusal| refusal.into_error(name, StoreOption::Schema))?;
    if is_interrupted && database.options.access == Access::Migrate {
        rebuild::remove_dead(database).await;
    }
    if steps.is_empty() {
        return Ok(());
    }
    if database.options.access != Access::Migrate {
        return Err(not_ready(name, &steps, "as a user who may create and alter them"));
    }
    // However long it takes: a large table is rewritten once.
    database
        .run_unlimited(Purpose::Prepare, async |client| migrate(client, tables).await)
        .await
        .map_err(|failure| failure.into_error(&format!("migrating {name} ({})", list(&steps))))?
        .map_err(|refusal| refusal.into_error(name, StoreOption::Schema))
}

async fn migrate(client: &Client, tables: &Tables) -> Result<Result<(), Refusal>, Failure> {
    client.batch_execute(&begin(SILENCE)).await?;
    let migrated = migrate_in_transaction(client, tables).await;
    let end = if matches!(migrated, Ok(Ok(()))) {
        "COMMIT"
    } else {
        "ROLLBACK"
    };
    let ended = client.batch_execute(end).await;
    let migrated = migrated?;
    ended?;
    Ok(migrated)
}

async fn migrate_in_transaction(client: &Client, tables: &Tables) -> Result<Result<(), Refusal>, Failure> {
    // These would end a migration that takes long, and are meant for statements.
    client.batch_execute(NO_TIMEOUTS).await?;
    client.batch_execute(LOCK).await?;
    // Another process may have migrated while this one waited for the lock: look again.
    let steps = match plan(client, tables).await? {
        Ok(steps) => steps,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if steps.is_empty() {
        return Ok(Ok(()));
    }
    for step in &steps {
        run(client, tables, step)
            .await
            .map_err(|failure| failure.of_migration(&step.to_string()))?;
    }
    let version = &tables.version;
    client
        .batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS {version} (version bigint NOT NULL);
             INSERT INTO {version} SELECT {VERSION} WHERE NOT EXISTS (SELECT FROM {version});
             UPDATE {version} SET version = {VERSION}"
        ))
        .await?;
    Ok(Ok(()))
}

async fn run(client: &Client, tables: &Tables, step: &Step) -> Result<(), Failure> {
    if *step != Step::RepairIndexes {
        return Ok(client.batch_execute(&sql(tables, step)).await?);
    }
    // The owner's triggers must not fire for, or forbid, what the owner did not do.
    let triggers = catalog::triggers(client, &tables.events).await?;
    for trigger in &triggers {
        client.batch_execute(&trigger.disable).await?;
    }
    client.batch_execute(&sql(tables, step)).await?;
    for trigger in &triggers {
        client.batch_execute(&trigger.enable).await?;
    }
    Ok(())
}

fn sql(tables: &Tables, step: &Step) -> String {
    let (sessions, events, labels, deleted) = (&tables.sessions, &tables.events, &tables.labels, &tables.deleted);
    match step {
        Step::OfBackend(PostgresStep::CreateSchema) => format!("CREATE SCHEMA {}", tables.quoted_schema()),
        Step::CreateSessions => format!(
            "CREATE TABLE {sessions} ({}, PRIMARY KEY (id));
             CREATE INDEX ON {sessions} (created_at, id COLLATE pg_catalog.\"C\")",
            definitions(&SESSIONS, data_type)
        ),
        // No index on `id`: random ids would halve the speed of writing.
        Step::CreateEvents => format!(
            "CREATE TABLE {events} ({});
             CREATE UNIQUE INDEX ON {events} (session_id, event_index)",
            definitions(&EVENTS, data_type)
        ),
        Step::CreateLabels => format!(
            "CREATE TABLE {labels} ({}, PRIMARY KEY (session_id, name));
             CREATE INDEX ON {labels} (name, value)",
            definitions(&LABELS, data_type)
        ),
        Step::CreateDeleted => format!(
            "CREATE TABLE {deleted} ({}, PRIMARY KEY (id));
             CREATE INDEX ON {deleted} (deleted_at)",
            definitions(&DELETED, data_type)
        ),
        Step::AddColumn(table, column) => format!(
            "ALTER TABLE {table} ADD COLUMN {} {}",
            column.name,
            data_type(column.data)
        ),
        Step::OfBackend(PostgresStep::ToJson(table, Column { name, .. })) => format!(
            "ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT, \
             ALTER COLUMN {name} TYPE pg_catalog.json USING {name}::pg_catalog.json"
        ),
        // By way of numbers that no session has, so that no two events meet at one index meanwhile.
        Step::RepairIndexes => format!(
            "LOCK TABLE {events} IN ACCESS EXCLUSIVE MODE;
             ALTER TABLE {events} ALTER COLUMN event_index TYPE bigint;
             UPDATE {events} AS stored SET event_index = renumbered.place + {BEYOND} FROM (
               SELECT tableoid, ctid, pg_catalog.row_number() OVER (
                 PARTITION BY session_id ORDER BY event_index NULLS FIRST, created_at, id COLLATE pg_catalog.\"C\") AS place
               FROM {events} WHERE session_id IN (
                 SELECT session_id FROM {events} WHERE event_index IS NULL
                 UNION SELECT session_id FROM {events} GROUP BY session_id, event_index HAVING pg_catalog.count(*) > 1)
             ) AS renumbered WHERE stored.tableoid = renumbered.tableoid AND stored.ctid = renumbered.ctid;
             UPDATE {events} SET event_index = event_index - {BEYOND} WHERE event_index > {BEYOND};
             ALTER TABLE {events} ALTER COLUMN event_index SET NOT NULL"
        ),
        Step::UniquePlace => format!("CREATE UNIQUE INDEX ON {events} (session_id, event_index)"),
        Step::SessionOrder => format!("CREATE INDEX ON {sessions} (created_at, id COLLATE pg_catalog.\"C\")"),
    }
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
