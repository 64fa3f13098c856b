//! What a rebuild leaves behind: the old table when it is done, all of its own tables when it was killed.

use std::time::Instant;

use rusqlite::{Connection, params};

use super::{LONGEST_STEP, TRIGGERS};
use crate::store::rebuild::{DEAD_AFTER, Outcome};
use crate::store::sqlite::connection::Target;
use crate::store::sqlite::tables::{self, Tables};
use crate::store::time::{ago, now};

/// How many rows are removed before the clock is looked at.
const ROWS_AT_ONCE: usize = 50;

/// Whether there are tables of a rebuild: the one that says which is. Another program may have a table of that name, too.
pub(super) fn are_there(connection: &Connection, tables: &Tables) -> rusqlite::Result<bool> {
    let sql = "SELECT (SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE) = 'table' \
               AND (SELECT group_concat(name) FROM pragma_table_info(?1)) = 'id,beat_at'";
    let found: Option<bool> = connection
        .prepare_cached(sql)?
        .query_row([&tables.rebuild.state.plain], |row| row.get(0))?;
    Ok(found == Some(true))
}

/// Makes the rebuild with this id the one that all that is there belongs to.
pub(super) fn take_over(connection: &Connection, tables: &Tables, id: &str) -> rusqlite::Result<Outcome> {
    if are_there(connection, tables)? {
        drop_triggers(connection, tables)?;
        let state = &tables.rebuild.state;
        connection.execute(&format!("UPDATE {state} SET id = ?1, beat_at = ?2"), params![id, now()])?;
    }
    Ok(Outcome::Done)
}

/// Removes some of what is left. The rows go step by step: to drop a large table would keep all others from writing until each of its
/// pages is overwritten.
pub(super) fn clear(connection: &Connection, tables: &Tables, id: &str) -> rusqlite::Result<Outcome> {
    let rebuild = &tables.rebuild;
    if !are_there(connection, tables)? {
        return Ok(Outcome::Done);
    }
    let began = Instant::now();
    let sql = format!("UPDATE {} SET beat_at = ?1 WHERE id = ?2", rebuild.state);
    if connection.execute(&sql, params![now(), id])? == 0 {
        return Ok(Outcome::Done);
    }
    drop_triggers(connection, tables)?;
    for table in [&rebuild.copy, &rebuild.changes, &rebuild.replaced] {
        if !tables::has_table(connection, &table.plain)? {
            continue;
        }
        let key = row_key(connection, &table.plain)?;
        let mut remove = connection.prepare(&format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} LIMIT {ROWS_AT_ONCE})"
        ))?;
        while remove.execute([])? == ROWS_AT_ONCE {
            if began.elapsed() >= LONGEST_STEP {
                return Ok(Outcome::More);
            }
        }
        drop(remove);
        connection.execute_batch(&format!("DROP TABLE {table}"))?;
    }
    connection.execute_batch(&format!("DROP TABLE {}", rebuild.state))?;
    Ok(Outcome::Done)
}

/// The columns by which a row is found at once.
fn row_key(connection: &Connection, table: &str) -> rusqlite::Result<String> {
    if !tables::is_without_rowid(connection, table)? {
        return Ok("rowid".to_owned());
    }
    let sql = "SELECT group_concat('\"' || name || '\"', ', ') FROM (SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk)";
    connection.query_row(sql, [table], |row| row.get(0))
}

pub(super) fn drop_triggers(connection: &Connection, tables: &Tables) -> rusqlite::Result<()> {
    for number in 0..TRIGGERS {
        connection.execute_batch(&format!(
            "DROP TRIGGER IF EXISTS \"{}_{number}\"",
            tables.rebuild.trigger
        ))?;
    }
    Ok(())
}

/// Whether a rebuild was begun that nobody goes on with.
pub(in crate::store::sqlite) fn is_interrupted(connection: &Connection, tables: &Tables) -> rusqlite::Result<bool> {
    if !are_there(connection, tables)? {
        return Ok(false);
    }
    let sql = format!(
        "SELECT NOT EXISTS (SELECT 1 FROM {} WHERE beat_at > ?1)",
        tables.rebuild.state
    );
    connection.query_row(&sql, [ago(DEAD_AFTER)], |row| row.get(0))
}

/// Removes what a rebuild has left that nobody goes on with. A failure is no reason not to open the database: the next one to open
/// it tries again.
pub(in crate::store::sqlite) fn remove_dead(connection: &Connection, target: &Target, tables: &Tables) {
    if !is_interrupted(connection, tables).unwrap_or(false) {
        return;
    }
    let remove = || {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        if is_interrupted(connection, tables)? {
            drop_triggers(connection, tables)?;
            for table in tables.rebuild.all() {
                connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
            }
        }
        connection.execute_batch("COMMIT")
    };
    let removed = target.patiently(|| {
        let removed = remove();
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        removed
    });
    drop(removed);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_the_key_of_its_table() {
        let connection = Connection::open_in_memory().unwrap();
        let key = |definition: &str| {
            connection
                .execute_batch(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t {definition}"))
                .unwrap();
            row_key(&connection, "t").unwrap()
        };
        assert_eq!(key("(id TEXT PRIMARY KEY)"), "rowid");
        assert_eq!(key("(id TEXT PRIMARY KEY) WITHOUT ROWID"), "\"id\"");
        let places = "(event_index, session_id, PRIMARY KEY (session_id, event_index)) WITHOUT ROWID";
        assert_eq!(key(places), "\"session_id\", \"event_index\"");
    }
}
