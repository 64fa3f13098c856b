//! What a rebuild leaves behind that was killed.

use std::rc::Rc;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::structure::drop_triggers;
use super::{LOCK_LIMIT, SILENCE, Undone, done};
use crate::store::postgres::database::{Database, Purpose};
use crate::store::postgres::error::Failure;
use crate::store::postgres::statement::{begin, limit_locks};
use crate::store::postgres::tables::{self, Tables};
use crate::store::rebuild::{DEAD_AFTER, Rebuilt};

/// Whether a rebuild is under way, or was when it was killed. Another program may have a table of that name, too.
pub(super) async fn is_there(client: &Client, tables: &Tables) -> Result<bool, Failure> {
    let sql = "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r' AND ARRAY['id', 'beat_at'] = ARRAY(\
                 SELECT attname::pg_catalog.text FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 ORDER BY attnum)";
    let name = &tables.rebuild.state.plain;
    let rows = client
        .query_typed(sql, &[(&tables.schema, Type::TEXT), (name, Type::TEXT)])
        .await?;
    Ok(!rows.is_empty())
}

/// Removes all that there is of a rebuild, or of the one with this id alone, in the transaction that is open.
pub(super) async fn clear(client: &Client, tables: &Tables, id: Option<&str>) -> Result<Rebuilt, Undone> {
    if is_there(client, tables).await? {
        client.batch_execute(tables::LOCK).await?;
        let sql = format!("SELECT 1 FROM {} WHERE id = $1", tables.rebuild.state);
        let is_ours = match id {
            Some(id) => !client.query_typed(&sql, &[(&id, Type::TEXT)]).await?.is_empty(),
            None => true,
        };
        if is_ours {
            remove(client, tables).await?;
        }
    }
    Ok(done())
}

async fn remove(client: &Client, tables: &Tables) -> Result<(), Failure> {
    drop_triggers(client, tables).await?;
    let rebuild = &tables.rebuild;
    let sql = format!(
        "DROP TABLE IF EXISTS {}, {}, {}",
        rebuild.copy, rebuild.changes, rebuild.state
    );
    Ok(client.batch_execute(&sql).await?)
}

/// Whether a rebuild was begun that nobody goes on with.
pub(in crate::store::postgres) async fn is_interrupted(client: &Client, tables: &Tables) -> Result<bool, Failure> {
    if !is_there(client, tables).await? {
        return Ok(false);
    }
    let sql = format!(
        "SELECT 1 FROM {} WHERE beat_at > pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => {})",
        tables.rebuild.state,
        DEAD_AFTER.as_secs()
    );
    Ok(client.query_typed(&sql, &[]).await?.is_empty())
}

/// Removes what a rebuild has left that nobody goes on with. A failure is no reason not to use the database: the next driver tries
/// again.
pub(in crate::store::postgres) async fn remove_dead(database: &Rc<Database>) {
    let tables = &database.options.tables;
    let work = async |client: &Client| {
        client.batch_execute(&begin(SILENCE)).await?;
        limit_locks(client, LOCK_LIMIT).await?;
        client.batch_execute(tables::LOCK).await?;
        if is_interrupted(client, tables).await? {
            remove(client, tables).await?;
        }
        Ok::<(), Failure>(client.batch_execute("COMMIT").await?)
    };
    let removed = database.run(Purpose::Prepare, database.deadline(), async |connection| {
        if work(connection).await.is_err() {
            connection.batch_execute("ROLLBACK").await?;
        }
        Ok(())
    });
    drop(removed.await);
}
