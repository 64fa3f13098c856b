//! How much a database holds. `reader` calls it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Remedy};
use super::statement::begin;
use super::tables::{Preparation, Tables, layout};
use crate::store::error::StoreError;
use crate::store::statistics::{Counts, DatabaseSize, EXACT_ROWS};

/// How long it may take. Whoever watches a store that is out of reach wants the rest of the numbers.
const LONGEST: Duration = Duration::from_secs(2);

/// How long the server may work on a statement. It ends one that waits for somebody's lock before we would give up its connection,
/// and with it our trust in the others.
const LONGEST_STATEMENT: Duration = Duration::from_millis(900);

/// Measures what there is now.
pub(super) async fn measure(database: &Database, preparation: &Preparation) -> Result<DatabaseSize, StoreError> {
    let doing = format!("measuring {}", database.options.target.name());
    let deadline = Instant::now() + LONGEST;
    let prepared = timeout_at(deadline, preparation.done()).await;
    prepared.map_err(|_| Failure::not_connected().into_error(&doing))??;
    let begin = format!(
        "{}; SET LOCAL statement_timeout = {}",
        begin(LONGEST),
        LONGEST_STATEMENT.as_millis()
    );
    let work = async |connection: &Connection| {
        connection.batch_execute(&begin).await?;
        let measured = size(connection, &database.options.tables).await;
        if matches!(&measured, Err(failure) if failure.remedy == Remedy::Reconnect) {
            return measured;
        }
        connection.batch_execute("ROLLBACK").await?;
        // Whoever is in the way now may be gone at the next call.
        measured.map_err(|mut failure| {
            failure.remedy = Remedy::None;
            failure
        })
    };
    let measured = database.run(Purpose::Read, deadline, work).await;
    measured.map_err(|failure| failure.into_error(&doing))
}

async fn size(connection: &Connection, tables: &Tables) -> Result<DatabaseSize, Failure> {
    let Tables {
        sessions,
        events,
        labels,
        deleted,
        ..
    } = tables;
    // A table and its partitions. Where the server has counted nothing since it was restored or has crashed, what the last
    // vacuum saw is the better guess.
    let sql = format!(
        "WITH parts AS MATERIALIZED (
           SELECT root.name, part.oid, part.relkind, part.reltuples
           FROM pg_catalog.unnest($1::pg_catalog.text[]) AS root (name)
           CROSS JOIN LATERAL (
             SELECT root.name::pg_catalog.regclass::pg_catalog.oid
             UNION SELECT relid FROM pg_catalog.pg_partition_tree(root.name::pg_catalog.regclass)) AS of_root (oid)
           JOIN pg_catalog.pg_class AS part ON part.oid = of_root.oid
         )
         SELECT
           (SELECT pg_catalog.count(*) FROM (SELECT FROM {sessions} LIMIT {limit}) AS few),
           (SELECT pg_catalog.count(*) FROM (SELECT FROM {events} LIMIT {limit}) AS few),
           {sessions_estimate},
           {events_estimate},
           (SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(oid)) FROM parts)::pg_catalog.int8",
        limit = EXACT_ROWS + 1,
        sessions_estimate = estimate("$3"),
        events_estimate = estimate("$2"),
    );
    let names = [sessions, events, labels, deleted].map(ToString::to_string);
    let row = connection
        .query_typed(
            &sql,
            &[
                (&&names[..], Type::TEXT_ARRAY),
                (&names[1], Type::TEXT),
                (&names[0], Type::TEXT),
            ],
        )
        .await?
        .into_iter()
        .next()
        .ok_or_else(|| Failure::odd_row("nothing was measured"))?;
    let few: [i64; 2] = [row.try_get(0)?, row.try_get(1)?];
    let estimates: [i64; 2] = [row.try_get(2)?, row.try_get(3)?];
    let rows = |table: usize| {
        if few[table] <= EXACT_ROWS {
            few[table]
        } else {
            estimates[table].max(few[table])
        }
    };
    Ok(DatabaseSize {
        layout: layout(connection, tables).await?,
        sessions: rows(0),
        events: rows(1),
        counts: if few.iter().all(|few| *few <= EXACT_ROWS) {
            Counts::Exact
        } else {
            Counts::Estimate
        },
        data_bytes: u64::try_from(row.try_get::<_, i64>(4)?).unwrap_or(0),
        free_bytes: None,
        log_bytes: None,
    })
}

/// How many rows the server takes a table, with its partitions, to have.
fn estimate(name: &str) -> String {
    format!(
        "(SELECT coalesce(pg_catalog.sum(CASE pg_catalog.pg_stat_get_live_tuples(oid)
            WHEN 0 THEN greatest(reltuples, 0) ELSE pg_catalog.pg_stat_get_live_tuples(oid) END), 0)
          FROM parts WHERE name = {name} AND relkind = 'r')::pg_catalog.int8"
    )
}
