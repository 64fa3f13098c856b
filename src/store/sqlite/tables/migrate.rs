//! Makes a database's tables ready: runs the steps that `schema` finds missing, in one transaction. `super` calls it
//! when it opens a database.

use rusqlite::Connection;

use super::Tables;
use super::catalog;
use super::schema::{NUMBER_COLUMN, Plan, SqliteStep, Step, VersionPlace, plan};
use crate::store::error::StoreError;
use crate::store::message::{StoreOption, message};
use crate::store::sqlite::connection::{Access, Target};
use crate::store::sqlite::rebuild;
use crate::store::sqlite::space;
use crate::store::tables::columns::{DELETED, Data, EVENTS, LABELS, SESSIONS, definitions};
use crate::store::tables::steps::not_ready;
use crate::store::tables::{BEYOND_INDEXES as BEYOND, VERSION};

/// Makes the database ready: switches it to write-ahead logging, and creates or adopts the tables.
///
/// Without the right to migrate it only looks, and fails with the list of what is missing.
pub(in crate::store::sqlite) fn prepare(
    connection: &Connection,
    target: &Target,
    tables: &Tables,
) -> Result<(), StoreError> {
    let look = || {
        target
            .patiently(|| plan(connection, tables))
            .map_err(|error| target.error("looking at the tables of", &error))?
            .map_err(|refusal| refusal.into_error(&target.location.name(), StoreOption::Filename))
    };
    let plan = look()?;
    if target.access != Access::Migrate {
        return if plan.steps.is_empty() {
            Ok(())
        } else {
            let without = message!["without ", StoreOption::Readonly];
            Err(not_ready(&target.location.name(), &plan.steps, without))
        };
    }
    target
        .patiently(|| space::will_give_back(connection))
        .map_err(|error| target.error("setting up", &error))?;
    target.enter_wal(connection)?;
    rebuild::remove_dead(connection, target, tables);
    if plan.steps.is_empty() && plan.write_version.is_none() {
        return Ok(());
    }
    let failed = |error: rusqlite::Error| target.error("migrating", &error);
    let begin = || connection.execute_batch("BEGIN EXCLUSIVE");
    if plan.steps.is_empty() {
        // Only the version is missing, which would save the next opening a look at every row. That is worth neither
        // waiting for a lock nor failing where the file may only be read.
        if begin().is_err() {
            return Ok(());
        }
    } else {
        target.patiently(begin).map_err(failed)?;
    }
    // Another process may have migrated while this one waited for the lock: look again.
    let migrated = look().and_then(|plan| {
        let done =
            run_all(connection, tables, &plan).and_then(|()| target.patiently(|| connection.execute_batch("COMMIT")));
        match done {
            Err(_) if plan.steps.is_empty() => Ok(()),
            done => done.map_err(failed),
        }
    });
    if !connection.is_autocommit() {
        // Nothing is left to do when this fails too: closing the connection rolls back.
        let _ = connection.execute_batch("ROLLBACK");
    }
    migrated
}

/// Runs the steps. Where rows are rewritten, the owner's views and triggers are taken out meanwhile, and put back as they
/// were: SQLite's rename of a column would make them mean the number instead of the id, and is refused when one of them is
/// broken already; and a trigger must not fire for, or forbid, what the owner did not do.
fn run_all(connection: &Connection, tables: &Tables, plan: &Plan) -> rusqlite::Result<()> {
    let rewrites = |step: &Step| matches!(step, Step::RepairIndexes | Step::OfBackend(_));
    let owners = if plan.steps.iter().any(rewrites) {
        catalog::views_and_triggers(connection)?
    } else {
        Vec::new()
    };
    for catalog::Definition { kind, name, .. } in &owners {
        // A view takes its own triggers with it.
        connection.execute_batch(&format!("DROP {kind} IF EXISTS \"{}\"", name.replace('"', "\"\"")))?;
    }
    for step in &plan.steps {
        run(connection, tables, plan.event_key, step)?;
    }
    for definition in &owners {
        connection.execute_batch(&definition.sql)?;
    }
    match plan.write_version {
        None => Ok(()),
        Some(VersionPlace::UserVersion) => connection.pragma_update(None, "user_version", VERSION),
        Some(VersionPlace::Table) => {
            let version = &tables.version;
            connection.execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS {version} (version INTEGER NOT NULL);
                 DELETE FROM {version};
                 INSERT INTO {version} VALUES ({VERSION})"
            ))
        }
    }
}

fn run(connection: &Connection, tables: &Tables, event_key: &str, step: &Step) -> rusqlite::Result<()> {
    let (sessions, events, labels, deleted) = (&tables.sessions, &tables.events, &tables.labels, &tables.deleted);
    let created_order = catalog::free_index_name(connection, &format!("{}_created_at_id", sessions.plain))?;
    let place = catalog::free_index_name(connection, &format!("{}_session_id_event_index", events.plain))?;
    let label_value = catalog::free_index_name(connection, &format!("{}_name_value", labels.plain))?;
    let deleted_at = catalog::free_index_name(connection, &format!("{}_deleted_at", deleted.plain))?;
    let sql = match step {
        Step::CreateSessions => format!(
            "CREATE TABLE {sessions} ({}, PRIMARY KEY (id));
             CREATE INDEX \"{created_order}\" ON {sessions} (created_at, id)",
            definitions(&SESSIONS, declared_type)
        ),
        // No index on `id`: random ids would halve the speed of writing. Not `WITHOUT ROWID`
        // either: it would keep a session's events side by side, which reads half again as fast, but it writes a fifth
        // slower with 32 sessions and a third slower with 512 (ARCHITECTURE.md, "Tables").
        Step::CreateEvents => format!(
            "CREATE TABLE {events} ({});
             CREATE UNIQUE INDEX \"{place}\" ON {events} (session_id, event_index)",
            definitions(&EVENTS, declared_type)
        ),
        Step::CreateLabels => format!(
            "CREATE TABLE {labels} ({}, PRIMARY KEY (session_id, name)) WITHOUT ROWID;
             CREATE INDEX \"{label_value}\" ON {labels} (name, value)",
            definitions(&LABELS, declared_type)
        ),
        Step::CreateDeleted => format!(
            "CREATE TABLE {deleted} ({}, PRIMARY KEY (id)) WITHOUT ROWID;
             CREATE INDEX \"{deleted_at}\" ON {deleted} (deleted_at)",
            definitions(&DELETED, declared_type)
        ),
        Step::AddColumn(table, column) => format!(
            "ALTER TABLE {table} ADD COLUMN {} {}",
            column.name,
            declared_type(column.data)
        ),
        Step::OfBackend(SqliteStep::RoundTimes) => format!(
            "UPDATE {sessions} SET created_at = CAST(created_at AS INTEGER) WHERE typeof(created_at) = 'real'"
        ),
        // By way of numbers that no session has, so that no two events meet at one index meanwhile.
        Step::RepairIndexes => format!(
            "UPDATE {events} AS stored SET event_index = renumbered.place + {BEYOND} FROM (
               SELECT {event_key} AS row, row_number() OVER (PARTITION BY session_id ORDER BY event_index, created_at, id) AS place
               FROM {events} WHERE session_id IN (
                 SELECT session_id FROM {events} WHERE typeof(event_index) <> 'integer'
                 UNION SELECT session_id FROM {events} GROUP BY session_id, event_index HAVING count(*) > 1)
             ) AS renumbered WHERE stored.{event_key} = renumbered.row;
             UPDATE {events} SET event_index = event_index - {BEYOND} WHERE event_index > {BEYOND}"
        ),
        // The number stays, as the row's key; the text beside it is what the SDK calls the event's id.
        Step::OfBackend(SqliteStep::TextIds) => format!(
            "ALTER TABLE {events} RENAME COLUMN id TO {NUMBER_COLUMN};
             ALTER TABLE {events} ADD COLUMN id TEXT;
             UPDATE {events} SET id = CAST({NUMBER_COLUMN} AS TEXT)"
        ),
        Step::UniquePlace => format!(
            "CREATE UNIQUE INDEX \"{place}\" ON {events} (session_id, event_index)"
        ),
        Step::SessionOrder => format!(
            "CREATE INDEX \"{created_order}\" ON {sessions} (created_at, id)"
        ),
    };
    connection.execute_batch(&sql)
}

pub(in crate::store::sqlite) fn declared_type(data: Data) -> &'static str {
    match data {
        Data::Id | Data::Text | Data::Json => "TEXT",
        Data::Time | Data::Index => "INTEGER",
    }
}
