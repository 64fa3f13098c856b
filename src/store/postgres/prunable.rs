//! What can be pruned: whether a session meets the conditions, and which of its events are to go. `reader` asks before anything is
//! removed, and `single` removes it.

use futures_util::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::error::Failure;
use super::list::{self, ListStatement};
use super::statement::Parameter;
use super::tables::Tables;
use crate::store::list::Parameters;
use crate::store::prune::{Extent, PruneStep, Pruned, Rest};

/// How many events are looked at for one answer.
const LOOKED_AT: i64 = 5_000;

/// How long an event's JSON text is.
const BYTES: &str = "COALESCE(pg_catalog.octet_length(payload_json::pg_catalog.text), 0) \
                     + COALESCE(pg_catalog.octet_length(extra_json::pg_catalog.text), 0)";

/// The oldest events that are to go.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Piece {
    /// Whether there is such a session, it meets the conditions, and what is to stay of it is there. Else nothing of it is to go.
    pub(super) meets: bool,
    /// Whether there are others after them.
    pub(super) is_more: bool,
    /// The index of the last of them.
    pub(super) last: Option<i64>,
    pub(super) events: u64,
    /// How long their JSON text is.
    pub(super) bytes: u64,
}

/// Removes so many of the oldest events that are to go. The newest event of a session that is to go is removed only by a step that
/// began with the first one, since the record goes with it. Says whether all were removed, beside.
pub(super) async fn remove(
    client: &Client,
    tables: &Tables,
    step: &PruneStep,
    rows: i64,
) -> Result<(Piece, bool), Failure> {
    let may_remove_last = step.after.is_none() || step.extent != Extent::All;
    let (found, parameters) = piece(tables, step, rows, "event_index");
    let sql = format!(
        "{found}, bound AS (SELECT *, CASE WHEN events > $1 THEN last - 1 WHEN {may_remove_last} THEN last END AS through FROM found), \
         removed AS (DELETE FROM {events} WHERE session_id = $2 AND event_index > $3 \
           AND event_index <= (SELECT through FROM bound) RETURNING {BYTES} AS bytes), \
         counted AS (SELECT pg_catalog.count(*) AS removed, COALESCE(pg_catalog.sum(bytes), 0)::bigint AS bytes FROM removed) \
         SELECT meets, events > $1, through, removed, bytes, \
           CASE WHEN through IS NULL THEN 0 ELSE LEAST(events, $1) END FROM bound, counted",
        events = tables.events,
    );
    let (piece, row) = read(
        client,
        &ListStatement {
            sql,
            parameters: parameters.into_values(),
        },
    )
    .await?;
    let expected: i64 = row.map_or(Ok(0), |row| row.try_get(5))?;
    Ok((piece, piece.events >= u64::try_from(expected).unwrap_or(0)))
}

/// What a step would remove.
pub(super) async fn would_prune(client: &Client, tables: &Tables, step: &PruneStep) -> Result<Pruned, Failure> {
    let (found, parameters) = piece(tables, step, LOOKED_AT, &format!("event_index, {BYTES} AS bytes"));
    // The one that is too many is counted too: the next step begins after it.
    let sql = format!(
        "{found} SELECT meets, events > $1, last, events, \
         (SELECT COALESCE(pg_catalog.sum(bytes), 0)::bigint FROM piece) FROM found"
    );
    let (piece, _) = read(
        client,
        &ListStatement {
            sql,
            parameters: parameters.into_values(),
        },
    )
    .await?;
    if !piece.meets {
        return Ok(Pruned::SPARED);
    }
    Ok(Pruned {
        events: piece.events,
        bytes: piece.bytes,
        rest: if piece.is_more {
            Rest::More(piece.last)
        } else {
            Rest::Nothing
        },
        ..Pruned::SPARED
    })
}

/// The first part of a statement: `piece` has so many of the oldest events that are to go, and one more if there are others; `found`
/// how many, the index of the last, and whether the session meets the conditions. The parameters are the number of rows, the session,
/// and the index that the events come after.
fn piece<'a>(tables: &Tables, step: &'a PruneStep, rows: i64, columns: &str) -> (String, Parameters<'a>) {
    let Tables { sessions, events, .. } = tables;
    let mut parameters = Parameters::new('$', rows);
    let session_id = parameters.text(&*step.session_id);
    let after = parameters.integer(step.after.unwrap_or(i64::MIN));
    let end = parameters.integer(step.extent.end());
    let meets = list::all(tables, step.conditions.conditions(), &mut parameters);
    // Else it is another session of that id, whose indexes began anew.
    let stays = match step.extent {
        Extent::All => String::from("true"),
        Extent::Before(_) => {
            format!("EXISTS (SELECT 1 FROM {events} WHERE session_id = {session_id} AND event_index >= {end})")
        }
    };
    // A limit that Postgres cannot know makes it follow the index, where it would sort all that is left for each piece.
    let sql = format!(
        "WITH condition AS (SELECT COALESCE((SELECT {meets} FROM {sessions} WHERE id = {session_id}), false) AND {stays} AS meets), \
         piece AS (SELECT {columns} FROM {events} WHERE session_id = {session_id} AND event_index > {after} \
           AND event_index < {end} AND (SELECT meets FROM condition) ORDER BY event_index LIMIT (SELECT $1 + 1)), \
         found AS (SELECT (SELECT meets FROM condition) AS meets, pg_catalog.count(*) AS events, \
           pg_catalog.max(event_index)::bigint AS last FROM piece)"
    );
    (sql, parameters)
}

async fn read(client: &Client, statement: &ListStatement<'_>) -> Result<(Piece, Option<Row>), Failure> {
    let rows: Vec<Row> = statement.rows(client).await?.try_collect().await?;
    let Some(row) = rows.into_iter().next() else {
        return Ok((Piece::default(), None));
    };
    let number = |column| {
        row.try_get(column)
            .map(|number: i64| u64::try_from(number).unwrap_or(0))
    };
    let piece = Piece {
        meets: row.try_get(0)?,
        is_more: row.try_get(1)?,
        last: row.try_get(2)?,
        events: number(3)?,
        bytes: number(4)?,
    };
    Ok((piece, Some(row)))
}

/// The index of the oldest of so many newest events, if there are older ones.
pub(super) async fn oldest_of_newest(
    client: &Client,
    Tables { events, .. }: &Tables,
    session_id: &str,
    count: i64,
) -> Result<Option<i64>, Failure> {
    let sql = format!(
        "SELECT event_index::bigint FROM {events} WHERE session_id = $1 ORDER BY event_index DESC LIMIT 2 OFFSET $2"
    );
    let skipped = count - 1;
    let parameters: [Parameter<'_>; 2] = [(&session_id, Type::TEXT), (&skipped, Type::INT8)];
    let rows = client.query_typed(&sql, &parameters).await?;
    match &rows[..] {
        [oldest, _] => Ok(Some(oldest.try_get(0)?)),
        _ => Ok(None),
    }
}
