//! What can be pruned: whether a session meets the conditions, and which of its events are to go. `read` asks before anything is
//! removed, and `single` when it is.

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::list;
use super::tables::Tables;
use crate::store::prune::{Extent, PruneStep, Pruned, Rest};

/// How many events are looked at for one answer.
const LOOKED_AT: usize = 5_000;

/// The oldest events that are to go.
pub(super) struct Piece {
    pub(super) events: u64,
    /// How long their JSON text is.
    pub(super) bytes: u64,
    /// The index of the last of them.
    pub(super) last: Option<i64>,
    /// Whether no others are to go.
    pub(super) is_last: bool,
}

/// Whether there is such a session, it meets the conditions, and what is to stay of it is there.
pub(super) fn meets(connection: &Connection, tables: &Tables, step: &PruneStep) -> rusqlite::Result<bool> {
    let statement = list::meets(tables, &step.session_id, &step.conditions);
    let found = connection
        .prepare_cached(&statement.sql)?
        .query_row(params_from_iter(&statement.parameters), |row| {
            row.get::<_, Option<bool>>(0)
        })
        .optional()?;
    Ok(found.flatten() == Some(true) && stays(connection, tables, step)?)
}

/// Else it is another session of that id, whose indexes began anew.
fn stays(connection: &Connection, Tables { events, .. }: &Tables, step: &PruneStep) -> rusqlite::Result<bool> {
    let Extent::Before(index) = step.extent else {
        return Ok(true);
    };
    connection
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM {events} WHERE session_id = ?1 AND event_index >= ?2)"
        ))?
        .query_row(params![step.session_id, index], |row| row.get(0))
}

/// The oldest events that are to go: so many at most, and none after they have so many bytes of text.
pub(super) fn piece(
    connection: &Connection,
    Tables { events, .. }: &Tables,
    step: &PruneStep,
    most_events: usize,
    most_bytes: u64,
) -> rusqlite::Result<Piece> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT event_index, coalesce(octet_length(payload_json), 0) + coalesce(octet_length(extra_json), 0) FROM {events} \
         WHERE session_id = ?1 AND event_index > ?2 AND event_index < ?3 ORDER BY event_index"
    ))?;
    let mut rows = select.query(params![
        step.session_id,
        step.after.unwrap_or(i64::MIN),
        step.extent.end()
    ])?;
    let mut piece = Piece {
        events: 0,
        bytes: 0,
        last: None,
        is_last: false,
    };
    while piece.events < most_events as u64 && piece.bytes < most_bytes {
        let Some(row) = rows.next()? else {
            piece.is_last = true;
            return Ok(piece);
        };
        piece.last = Some(row.get(0)?);
        piece.events += 1;
        piece.bytes += u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
    }
    piece.is_last = rows.next()?.is_none();
    Ok(piece)
}

/// What a step would remove.
pub(super) fn would_prune(connection: &Connection, tables: &Tables, step: &PruneStep) -> rusqlite::Result<Pruned> {
    if !meets(connection, tables, step)? {
        return Ok(Pruned::SPARED);
    }
    let piece = piece(connection, tables, step, LOOKED_AT, u64::MAX)?;
    Ok(Pruned {
        events: piece.events,
        bytes: piece.bytes,
        rest: if piece.is_last {
            Rest::Nothing
        } else {
            Rest::More(piece.last)
        },
        ..Pruned::SPARED
    })
}

/// The index of the oldest of so many newest events, if there are older ones.
pub(super) fn oldest_of_newest(
    connection: &Connection,
    Tables { events, .. }: &Tables,
    session_id: &str,
    count: i64,
) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT event_index FROM {events} WHERE session_id = ?1 ORDER BY event_index DESC LIMIT 2 OFFSET ?2"
    ))?;
    let mut rows = select.query(params![session_id, count - 1])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let oldest = row.get(0)?;
    Ok(rows.next()?.map(|_| oldest))
}
