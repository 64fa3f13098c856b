//! Makes a database's tables ready: runs the steps that `schema` finds missing, in one transaction under an advisory
//! lock. `preparation` calls it before the first statement of a driver.

use std::rc::Rc;
use std::time::Duration;

use futures_util::join;
use tokio_postgres::Client;

use super::Tables;
use super::schema::plan;
use super::script::script;
use crate::store::access::Access;
use crate::store::error::StoreError;
use crate::store::message::StoreOption;
use crate::store::postgres::database::{Database, Purpose};
use crate::store::postgres::error::Failure;
use crate::store::postgres::rebuild;
use crate::store::postgres::statement::begin;
use crate::store::tables::steps::{Refusal, list, not_ready};

/// The advisory lock under which tables are changed: one a database, so that those who start at once go one by one.
pub(in crate::store::postgres) const LOCK: &str =
    "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('sandbox-agent-persist migration', 0))";

/// Takes the server's own limits from a transaction: they are meant for the statements of its users. Those that it knows, since
/// PostgreSQL 17 has another one.
pub(in crate::store::postgres) const NO_TIMEOUTS: &str = "SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings \
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
    // They would end one that takes long.
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
    for step in script(client, tables, &steps).await? {
        let done = client.batch_execute(&step.batch()).await;
        done.map_err(|error| Failure::from(error).of_migration(&step.step))?;
    }
    Ok(Ok(()))
}
