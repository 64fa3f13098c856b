//! Makes a database's tables ready: runs the steps that `schema` finds missing, in one transaction. `super` calls it
//! when it opens a database.

use rusqlite::Connection;

use super::Tables;
use super::schema::{Plan, plan};
use super::script::script;
use crate::store::access::Access;
use crate::store::error::StoreError;
use crate::store::message::{StoreOption, message};
use crate::store::sqlite::connection::Target;
use crate::store::sqlite::rebuild;
use crate::store::sqlite::space;
use crate::store::tables::steps::not_ready;

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
            let since = message!["since ", StoreOption::Readonly, " changes no table"];
            Err(not_ready(&target.location.name(), &plan.steps, since))
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

fn run_all(connection: &Connection, tables: &Tables, plan: &Plan) -> rusqlite::Result<()> {
    for (_, step) in script(connection, tables, plan)? {
        connection.execute_batch(&step.batch())?;
    }
    Ok(())
}
