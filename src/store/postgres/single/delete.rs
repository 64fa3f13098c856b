//! Deleting a session, and removing what was written to it later. `super` calls it.
//!
//! Rows are taken in the order in which shared batches take them, the session's record before its events, so that neither waits
//! for the other in a circle. The record is locked first and deleted last, since the owner's tables may have a foreign key on it.

use futures_util::join;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::Undone;
use super::advice::kept;
use crate::store::deleted::{MOST_REMOVED, oldest};
use crate::store::postgres::deadline::Deadline;
use crate::store::postgres::statement::Parameter;
use crate::store::postgres::tables::Tables;
use crate::store::time::now;

/// How many events one statement deletes: few enough to be done well within the time of a try, or in that which the server sets to
/// statements; so many that a round trip for each is nothing.
const PIECE: i64 = 5_000;

/// What a failure says of what is left.
pub(super) const NOT_DELETED: &str = "nothing was deleted";

/// Deletes a session, and says whether there was anything of it.
pub(super) async fn delete(
    client: &Client,
    tables: &Tables,
    session_id: &str,
    deadline: &Deadline,
) -> Result<bool, Undone> {
    let Tables { deleted, .. } = tables;
    let keep = format!(
        "INSERT INTO {deleted} (id, deleted_at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET deleted_at = excluded.deleted_at"
    );
    // Others may be removing the same ones: those are left to them.
    let remove_old = format!(
        "DELETE FROM {deleted} WHERE id IN \
         (SELECT id FROM {deleted} WHERE deleted_at <= $1 ORDER BY deleted_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
    );
    let deleted_at = now();
    let keeping: [Parameter<'_>; 2] = [(&session_id, Type::TEXT), (&deleted_at, Type::INT8)];
    let oldest = oldest();
    let removing: [Parameter<'_>; 2] = [(&oldest, Type::INT8), (&MOST_REMOVED, Type::INT8)];
    // Each is sent before those in front of it are answered.
    let (kept, found, removed) = join!(
        client.execute_typed(&keep, &keeping),
        remove_rows(client, tables, session_id, deadline),
        client.execute_typed(&remove_old, &removing),
    );
    kept?;
    let found = found?;
    removed?;
    Ok(found)
}

/// Removes all that is stored of a session, and says whether there was anything.
pub(super) async fn remove_rows(
    client: &Client,
    tables: &Tables,
    session_id: &str,
    deadline: &Deadline,
) -> Result<bool, Undone> {
    let Tables { sessions, labels, .. } = tables;
    let session: [Parameter<'_>; 1] = [(&session_id, Type::TEXT)];
    let remove_labels = format!("DELETE FROM {labels} WHERE session_id = $1");
    let lock_record = format!("SELECT 1 FROM {sessions} WHERE id = $1 FOR UPDATE");
    let (labels, records, events) = join!(
        client.execute_typed(&remove_labels, &session),
        client.query_typed(&lock_record, &session),
        remove_events(client, tables, session_id, deadline),
    );
    let (labels, records, events) = (labels?, records?.len() as u64, events?);
    if records > 0 {
        let removed = client
            .execute_typed(&format!("DELETE FROM {sessions} WHERE id = $1"), &session)
            .await?;
        if removed < records {
            return Err(kept(&sessions.plain, NOT_DELETED).into());
        }
    }
    Ok(labels > 0 || records > 0 || events)
}

/// Removes a session's events, piece by piece, and says whether there were any.
async fn remove_events(
    client: &Client,
    Tables { events, .. }: &Tables,
    session_id: &str,
    deadline: &Deadline,
) -> Result<bool, Undone> {
    // A limit that Postgres cannot know makes it follow the index, where it would sort all that is left for each piece.
    let sql = format!(
        "WITH piece AS (SELECT event_index FROM {events} WHERE session_id = $1 AND event_index > $2 \
           ORDER BY event_index LIMIT (SELECT $3)), \
         found AS (SELECT pg_catalog.count(*) AS events, pg_catalog.max(event_index)::bigint AS last FROM piece), \
         removed AS (DELETE FROM {events} WHERE session_id = $1 AND event_index > $2 \
           AND event_index <= (SELECT last FROM found) RETURNING 1) \
         SELECT events, last, (SELECT pg_catalog.count(*) FROM removed) FROM found"
    );
    let mut after = i64::MIN;
    let mut any = false;
    let mut was_kept = false;
    loop {
        let parameters: [Parameter<'_>; 3] = [(&session_id, Type::TEXT), (&after, Type::INT8), (&PIECE, Type::INT8)];
        let rows = client.query_typed(&sql, &parameters).await?;
        deadline.renew();
        let Some(row) = rows.first() else {
            return Ok(any);
        };
        let (found, last, removed): (i64, Option<i64>, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        any |= removed > 0;
        if removed < found {
            // Another program may have deleted some in this moment. Then they are not found again.
            if was_kept {
                return Err(kept(&events.plain, NOT_DELETED).into());
            }
            was_kept = true;
            continue;
        }
        was_kept = false;
        match last {
            Some(last) if found >= PIECE => after = last,
            _ => return Ok(any),
        }
    }
}
