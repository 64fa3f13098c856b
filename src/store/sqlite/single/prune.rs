//! A step of pruning a session. `super` calls it.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::Failure;
use crate::store::prune::{Extent, PruneStep, Pruned, Rest};
use crate::store::sqlite::prunable;
use crate::store::sqlite::tables::Tables;
use crate::store::{Answer, JobAnswer};

/// How long a step removes events: others can write again once it is committed.
const TIME: Duration = Duration::from_millis(5);

/// How many events are removed before it looks at the clock.
const EVENTS_AT_ONCE: usize = 100;

/// How much JSON text is removed before it looks at the clock. What is removed is overwritten.
const BYTES_AT_ONCE: u64 = 1 << 20;

pub(super) fn prune(connection: &Connection, tables: &Tables, step: &PruneStep) -> Result<Answer, Failure> {
    let mut pruned = Pruned::SPARED;
    if prunable::meets(connection, tables, step)? {
        let began = Instant::now();
        pruned.rest = loop {
            let is_last = remove_piece(connection, tables, step, &mut pruned)?;
            // The newest event stays until the record goes with it.
            if is_last {
                if step.extent == Extent::All {
                    remove_record(connection, tables, &step.session_id)?;
                }
                break Rest::Nothing;
            }
            if began.elapsed() >= TIME {
                break Rest::More(None);
            }
        };
    }
    Ok(Answer::OfJob(JobAnswer::Pruned(pruned)))
}

/// Removes the oldest events that are to go, and says whether these were the last.
fn remove_piece(
    connection: &Connection,
    tables: &Tables,
    step: &PruneStep,
    pruned: &mut Pruned,
) -> Result<bool, Failure> {
    let piece = prunable::piece(connection, tables, step, EVENTS_AT_ONCE, BYTES_AT_ONCE)?;
    if let Some(last) = piece.last {
        let removed = connection
            .prepare_cached(&format!(
                "DELETE FROM {} WHERE session_id = ?1 AND event_index <= ?2",
                tables.events
            ))?
            .execute(params![step.session_id, last])?;
        if (removed as u64) < piece.events {
            return Err(Failure::Kept(tables.events.plain.clone()));
        }
        pruned.events += piece.events;
        pruned.bytes += piece.bytes;
    }
    Ok(piece.is_last)
}

fn remove_record(connection: &Connection, tables: &Tables, session_id: &str) -> Result<(), Failure> {
    for (table, column) in [(&tables.labels, "session_id"), (&tables.sessions, "id")] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE {column} = ?1"))?
            .execute([session_id])?;
        let is_left: bool = connection
            .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {column} = ?1)"))?
            .query_row([session_id], |row| row.get(0))?;
        if is_left {
            return Err(Failure::Kept(table.plain.clone()));
        }
    }
    Ok(())
}
