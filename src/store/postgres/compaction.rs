//! Joining events of a session, and what has to be read for it. `single` calls it within a transaction, and `reader` to count.
//!
//! Other programs may write to the session meanwhile without the lock that we hold. So what is joined are the versions of rows that
//! were read, and where one of these is not there any more nothing is done.

use std::time::Instant;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row as PostgresRow};

use super::error::Failure;
use super::single::{Pace, kept};
use super::statement::{Json, Parameter};
use super::tables::Tables;
use crate::store::compaction::FoundMessages;
use crate::store::compaction::{
    CompactionStep, LastEvent, MAX_PAYLOAD_BYTES, Plan, ROWS_AT_ONCE, StepDone, UPDATE_LITERALS,
};
use crate::store::mode::Mode;
use crate::store::transcript::{Message, Row, Run};

/// What a step has done, and the server's number of its transaction.
pub(super) struct Taken {
    pub(super) done: StepDone,
    pub(super) transaction: Option<String>,
}

/// What a failure says of what is left.
pub(super) const NOT_JOINED: &str = "nothing was joined in this step";

/// How many bytes of payloads a step reads, and one more payload: they are in memory together.
const BYTES_AT_ONCE: i64 = 8 << 20;

/// The rows that were read, in order: their indexes and their versions.
type Versions = Vec<(i64, i64)>;

/// Takes a step, in the transaction that is open.
pub(super) async fn take(
    client: &Client,
    tables: &Tables,
    step: &CompactionStep,
    pace: &Pace,
) -> Result<Taken, Failure> {
    let started = Instant::now();
    let (runs, done, versions) = plan(client, tables, step, Mode::Run, pace.rows()).await?;
    let transaction = join(client, tables, &step.session_id, &runs, &versions).await?;
    let rows = i64::try_from(versions.len()).unwrap_or(i64::MAX);
    pace.note(rows, started.elapsed());
    Ok(Taken { done, transaction })
}

/// Says what a step would do.
pub(super) async fn count(client: &Client, tables: &Tables, step: &CompactionStep) -> Result<StepDone, Failure> {
    let (_, done, _) = plan(client, tables, step, Mode::DryRun, ROWS_AT_ONCE).await?;
    Ok(done)
}

async fn plan(
    client: &Client,
    Tables { events, .. }: &Tables,
    CompactionStep { session_id, start, end }: &CompactionStep,
    mode: Mode,
    limit: i64,
) -> Result<(Vec<Run>, StepDone, Versions), Failure> {
    // Sizes are those of compressed values, and only what is taken is unpacked.
    let sql = format!(
        "SELECT event_index::bigint, created_at::bigint, sender, connection_id, \
           CASE WHEN size <= {MAX_PAYLOAD_BYTES} THEN payload_json::pg_catalog.text END, \
           extra_json::pg_catalog.text, version \
         FROM (SELECT *, pg_catalog.sum(size) OVER (ORDER BY event_index ROWS UNBOUNDED PRECEDING) - size AS size_before \
           FROM (SELECT event_index, created_at, sender, connection_id, payload_json, extra_json, \
               xmin::pg_catalog.text::bigint AS version, \
               COALESCE(pg_catalog.pg_column_size(payload_json), 0) AS size \
             FROM {events} WHERE session_id = $1 AND event_index >= $2 AND event_index <= $3 \
               AND EXISTS (SELECT 1 FROM {events} WHERE session_id = $1 AND event_index = $3 AND id = $4) \
             ORDER BY event_index LIMIT (SELECT $5)) AS next) AS measured \
         WHERE size_before <= {BYTES_AT_ONCE} ORDER BY event_index"
    );
    let from = start.index();
    let parameters: [Parameter<'_>; 5] = [
        (session_id, Type::TEXT),
        (&from, Type::INT8),
        (&end.index, Type::INT8),
        (&end.id, Type::TEXT),
        (&limit, Type::INT8),
    ];
    let rows = client.query_typed(&sql, &parameters).await?;
    let mut plan = Plan::new(*start, mode);
    let mut versions = Vec::with_capacity(rows.len());
    for row in &rows {
        let index = row.try_get(0)?;
        versions.push((index, row.try_get(6)?));
        plan.push(&Row {
            index,
            created_at: row.try_get(1)?,
            sender: text(row, 2)?.unwrap_or_default(),
            connection_id: text(row, 3)?.unwrap_or_default(),
            payload: text(row, 4)?,
            extra: text(row, 5)?,
        });
    }
    // The last event is there, or nothing was read.
    let is_more = versions.last().is_some_and(|(index, _)| *index < end.index);
    let (runs, done) = plan.finish(is_more);
    Ok((runs, done, versions))
}

/// Joins runs of the rows that were read. Comes back with the server's number of the transaction, unless nothing is to be done.
async fn join(
    client: &Client,
    tables: &Tables,
    session_id: &str,
    runs: &[Run],
    versions: &Versions,
) -> Result<Option<String>, Failure> {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        return Ok(None);
    };
    let changes = Changes::of(runs, versions);
    let payloads: Vec<Json<'_>> = runs.iter().map(|run| Json(&run.payload)).collect();
    let events = &tables.events;
    // Whatever the planner believes, it has no need to read more of the session than this.
    let place = "stored.session_id = $1 AND stored.event_index >= $2 AND stored.event_index <= $3 \
         AND stored.event_index = given.event_index AND stored.xmin::pg_catalog.text::bigint = given.version";
    let sql = format!(
        "WITH removed AS (\
           DELETE FROM {events} AS stored USING unnest($4, $5) AS given (event_index, version) WHERE {place} RETURNING 1), \
         replaced AS (\
           UPDATE {events} AS stored SET payload_json = given.payload \
           FROM unnest($6, $7, $8) AS given (event_index, version, payload) WHERE {place} RETURNING 1) \
         SELECT (SELECT pg_catalog.count(*) FROM removed) + (SELECT pg_catalog.count(*) FROM replaced), \
           pg_catalog.pg_current_xact_id()::pg_catalog.text"
    );
    let parameters: [Parameter<'_>; 8] = [
        (&session_id, Type::TEXT),
        (&first.first, Type::INT8),
        (&last.last, Type::INT8),
        (&changes.removed.0, Type::INT8_ARRAY),
        (&changes.removed.1, Type::INT8_ARRAY),
        (&changes.replaced.0, Type::INT8_ARRAY),
        (&changes.replaced.1, Type::INT8_ARRAY),
        (&payloads, Type::JSON_ARRAY),
    ];
    let rows = client.query_typed(&sql, &parameters).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    if usize::try_from(count).ok() == Some(changes.count()) {
        return Ok(rows.first().map(|row| row.try_get(1)).transpose()?);
    }
    Err(if is_any_left(client, tables, session_id, &changes).await? {
        kept(&events.plain, NOT_JOINED)
    } else {
        Failure::others_in_the_way()
    })
}

/// Whether one of these rows is as it was read, though it was to be changed.
async fn is_any_left(
    client: &Client,
    Tables { events, .. }: &Tables,
    session_id: &str,
    changes: &Changes,
) -> Result<bool, Failure> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM unnest($2, $3) AS given (event_index, version) JOIN {events} AS stored \
           ON stored.session_id = $1 AND stored.event_index = given.event_index \
           AND stored.xmin::pg_catalog.text::bigint = given.version)"
    );
    let all = |one: &[i64], other: &[i64]| [one, other].concat();
    let indexes = all(&changes.removed.0, &changes.replaced.0);
    let versions = all(&changes.removed.1, &changes.replaced.1);
    let parameters: [Parameter<'_>; 3] = [
        (&session_id, Type::TEXT),
        (&indexes, Type::INT8_ARRAY),
        (&versions, Type::INT8_ARRAY),
    ];
    let rows = client.query_typed(&sql, &parameters).await?;
    Ok(rows.first().map_or(Ok(false), |row| row.try_get(0))?)
}

/// Which versions of which rows are changed, column by column: indexes and versions.
#[derive(Default)]
struct Changes {
    removed: (Vec<i64>, Vec<i64>),
    replaced: (Vec<i64>, Vec<i64>),
}

impl Changes {
    fn of(runs: &[Run], versions: &Versions) -> Self {
        let mut changes = Self::default();
        let mut rows = versions.iter();
        for run in runs {
            for (index, version) in rows.by_ref().skip_while(|(index, _)| *index < run.first) {
                let (indexes, versions) = if *index == run.last {
                    &mut changes.replaced
                } else {
                    &mut changes.removed
                };
                indexes.push(*index);
                versions.push(*version);
                if *index == run.last {
                    break;
                }
            }
        }
        changes
    }

    fn count(&self) -> usize {
        self.removed.0.len() + self.replaced.0.len()
    }
}

/// The messages among the events before that index.
pub(super) async fn find_messages(
    client: &Client,
    Tables { events, .. }: &Tables,
    session_id: &str,
    below: Option<i64>,
) -> Result<FoundMessages, Failure> {
    let is_no_update = UPDATE_LITERALS
        .map(|literal| format!("pg_catalog.strpos(payload_json::pg_catalog.text, '{literal}') = 0"))
        .join(" AND ");
    // What no update is may be large, such as a prompt with images. All that was looked at is counted.
    let sql = format!(
        "SELECT event_index::bigint, id, sender, connection_id, \
           CASE WHEN {is_no_update} THEN payload_json::pg_catalog.text END, looked_at \
         FROM (SELECT *, pg_catalog.count(*) OVER () AS looked_at, \
             pg_catalog.sum(size) OVER (ORDER BY event_index DESC ROWS UNBOUNDED PRECEDING) - size AS size_before \
           FROM (SELECT event_index, id, sender, connection_id, payload_json, \
               COALESCE(pg_catalog.pg_column_size(payload_json), 0) AS size \
             FROM {events} WHERE session_id = $1 AND event_index < $2 \
             ORDER BY event_index DESC LIMIT (SELECT $3)) AS next) AS measured \
         WHERE size_before <= {BYTES_AT_ONCE} ORDER BY event_index DESC"
    );
    let below = below.unwrap_or(i64::MAX);
    let parameters: [Parameter<'_>; 3] = [
        (&session_id, Type::TEXT),
        (&below, Type::INT8),
        (&ROWS_AT_ONCE, Type::INT8),
    ];
    let rows = client.query_typed(&sql, &parameters).await?;
    let mut found = FoundMessages::default();
    for row in &rows {
        let (index, id) = (row.try_get(0)?, text(row, 1)?.unwrap_or_default());
        found.newest.get_or_insert_with(|| LastEvent {
            index,
            id: id.to_owned(),
        });
        let (sender, connection_id) = (text(row, 2)?.unwrap_or_default(), text(row, 3)?.unwrap_or_default());
        let payload = text(row, 4)?.unwrap_or_default();
        found
            .messages
            .extend(Message::read(index, id, sender, connection_id, payload));
        found.oldest = Some(index);
    }
    let looked_at: i64 = rows.first().map_or(Ok(0), |row| row.try_get(5))?;
    let are_all = i64::try_from(rows.len()).is_ok_and(|taken| taken == looked_at) && looked_at < ROWS_AT_ONCE;
    found.oldest = found.oldest.filter(|_| !are_all);
    Ok(found)
}

fn text(row: &PostgresRow, column: usize) -> Result<Option<&str>, Failure> {
    Ok(row.try_get(column)?)
}
