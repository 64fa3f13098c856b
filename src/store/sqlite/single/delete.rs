//! Deleting a session. `super` calls it.

use rusqlite::{Connection, params};

use super::Failure;
use crate::store::Answer;
use crate::store::deleted::{MOST_REMOVED, oldest};
use crate::store::sqlite::tables::Tables;
use crate::store::time::now;

pub(super) fn delete(connection: &Connection, tables: &Tables, session_id: &str) -> Result<Answer, Failure> {
    let Tables {
        sessions,
        events,
        labels,
        deleted,
        ..
    } = tables;
    connection
        .prepare_cached(&format!(
            "INSERT INTO {deleted} (id, deleted_at) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET deleted_at = excluded.deleted_at"
        ))?
        .execute(params![session_id, now()])?;
    let mut found = false;
    for (table, column) in [(labels, "session_id"), (events, "session_id"), (sessions, "id")] {
        let removed = connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE {column} = ?1"))?
            .execute([session_id])?;
        found |= removed > 0;
        let is_left: bool = connection
            .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {column} = ?1)"))?
            .query_row([session_id], |row| row.get(0))?;
        if is_left {
            return Err(Failure::Kept(table.plain.clone()));
        }
    }
    connection
        .prepare_cached(&format!(
            "DELETE FROM {deleted} WHERE id IN (SELECT id FROM {deleted} WHERE deleted_at <= ?1 ORDER BY deleted_at LIMIT ?2)"
        ))?
        .execute([oldest(), MOST_REMOVED])?;
    Ok(Answer::Deleted(found))
}
