//! Gives the space of what was removed back to the file system. `write` calls it.

use rusqlite::Connection;

use crate::store::Answer;
use crate::store::jobs::JobAnswer;

/// How many pages are given back at once.
const PAGES_AT_ONCE: i64 = 1_000;

/// Gives some free pages back. It is a transaction of its own.
pub(super) fn free(connection: &Connection) -> rusqlite::Result<Answer> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let before = number("page_count")?;
    // Its rows are steps: each gives one page back.
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    let freed = before - number("page_count")?;
    Ok(Answer::OfJob(JobAnswer::Freed {
        bytes: u64::try_from(freed * number("page_size")?).unwrap_or(0),
        is_more: freed > 0 && number("freelist_count")? > 0,
    }))
}
