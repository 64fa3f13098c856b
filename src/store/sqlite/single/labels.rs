//! Setting labels. `super` calls it.

use rusqlite::{Connection, params};

use super::Failure;
use crate::store::Answer;
use crate::store::labels::{self, LabelChanges};
use crate::store::sqlite::tables::Tables;

pub(in crate::store::sqlite) fn set(
    connection: &Connection,
    Tables { labels, .. }: &Tables,
    session_id: &str,
    changes: &LabelChanges,
) -> Result<Answer, Failure> {
    let mut count = connection.prepare_cached(&format!("SELECT count(*) FROM {labels} WHERE session_id = ?1"))?;
    let mut remove = connection.prepare_cached(&format!("DELETE FROM {labels} WHERE session_id = ?1 AND name = ?2"))?;
    let mut set = connection.prepare_cached(&format!(
        "INSERT INTO {labels} (session_id, name, value) VALUES (?1, ?2, ?3) \
         ON CONFLICT (session_id, name) DO UPDATE SET value = excluded.value"
    ))?;
    let mut count = || count.query_row([session_id], |row| row.get::<_, i64>(0));
    let before = count()?;
    for name in changes.removed() {
        remove.execute([session_id, name])?;
    }
    for (name, value) in changes.set() {
        set.execute(params![session_id, name, value])?;
    }
    labels::check_count(session_id, before, count()?)?;
    Ok(Answer::Done)
}
