//! Copying a session under a new id. `super` calls it.

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params};

use super::Failure;
use crate::store::Answer;
use crate::store::deleted::oldest;
use crate::store::error::{Quoted, StoreError};
use crate::store::fork::{ForkRequest, LINEAGE, Taken};
use crate::store::sqlite::read;
use crate::store::sqlite::tables::Tables;
use crate::store::tables::columns::{EVENTS, SESSIONS, join, names};

/// For how many events ids are made at once.
const BLOCK: usize = 100_000;

pub(super) fn fork(connection: &Connection, tables: &Tables, request: &ForkRequest) -> Result<Answer, Failure> {
    check(connection, tables, request)?;
    copy_record(connection, tables, request)?;
    let last = copy_events(connection, tables, request)?;
    copy_labels(connection, tables, request, last)?;
    let select = read::select_session(tables);
    Ok(read::find_session(connection, &select, request.fork_id())?)
}

/// Refuses a source that is not there, and a new id that is not free.
fn check(connection: &Connection, tables: &Tables, request: &ForkRequest) -> Result<(), Failure> {
    let is_stored = |taken: Taken, id: &str| {
        let Tables {
            sessions,
            events,
            labels,
            deleted,
            ..
        } = tables;
        let found = match taken {
            Taken::Record => format!("{sessions} WHERE id = ?1"),
            Taken::Events => format!("{events} WHERE session_id = ?1"),
            Taken::Labels => format!("{labels} WHERE session_id = ?1"),
            Taken::Tombstone => format!("{deleted} WHERE id = ?1 AND deleted_at > {}", oldest()),
        };
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {found})");
        connection.query_row(&sql, [id], |row| row.get::<_, bool>(0))
    };
    if !is_stored(Taken::Record, request.source_id())? {
        return Err(request.not_found().into());
    }
    for taken in Taken::ALL {
        if is_stored(taken, request.fork_id())? {
            return Err(request.taken(taken).into());
        }
    }
    Ok(())
}

fn copy_record(connection: &Connection, tables: &Tables, request: &ForkRequest) -> Result<(), Failure> {
    let sql = format!(
        "INSERT INTO {sessions} ({columns}) SELECT {copied} FROM {sessions} WHERE id = ?1",
        sessions = tables.sessions,
        columns = names(&SESSIONS),
        copied = join(&SESSIONS, |column| match column.name {
            "id" => String::from("?2"),
            "destroyed_at" => String::from("NULL"),
            name => name.to_owned(),
        }),
    );
    let copied = connection.execute(&sql, [request.source_id(), request.fork_id()])?;
    if copied == 1 { Ok(()) } else { Err(swallowed(request)) }
}

/// Copies the events in their order, and says which index was the last.
///
/// The ids ascend with the indexes, block by block: so their index is written page by page, which takes a quarter of the time.
fn copy_events(connection: &Connection, tables: &Tables, request: &ForkRequest) -> Result<Option<i64>, Failure> {
    let events = &tables.events;
    let columns = names(
        EVENTS
            .iter()
            .filter(|column| !matches!(column.name, "id" | "session_id")),
    );
    let block = format!(
        "FROM {events} WHERE session_id = ?1 AND event_index > ?2 AND event_index <= ?3 ORDER BY event_index LIMIT {BLOCK}"
    );
    let mut make_ids = connection.prepare(&format!(
        "SELECT randomblob(16 * count(*)), max(event_index) FROM (SELECT event_index {block})"
    ))?;
    let mut read = connection.prepare(&format!("SELECT {columns} {block}"))?;
    let mut insert = connection.prepare(&format!(
        "INSERT INTO {events} (id, session_id, {columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    ))?;
    let mut last = None;
    loop {
        let after = last.unwrap_or(i64::MIN);
        let position = params![request.source_id(), after, request.through_index()];
        let (random, next): (Vec<u8>, Option<i64>) =
            make_ids.query_row(position, |row| Ok((row.get(0)?, row.get(1)?)))?;
        if next.is_none() {
            return Ok(last);
        }
        last = next;
        let mut ids: Vec<[u8; 16]> = random.as_chunks().0.to_vec();
        ids.sort_unstable();
        let mut ids = ids.into_iter();
        // It never meets a row that was just inserted, since those are of another session.
        let mut rows = read.query(position)?;
        while let (Some(row), Some(random)) = (rows.next()?, ids.next()) {
            insert.raw_bind_parameter(1, uuid(random))?;
            insert.raw_bind_parameter(2, request.fork_id())?;
            for column in 0..row.as_ref().column_count() {
                insert.raw_bind_parameter(column + 3, ToSqlOutput::Borrowed(row.get_ref(column)?))?;
            }
            if insert.raw_execute()? != 1 {
                return Err(swallowed(request));
            }
        }
    }
}

/// A random UUID: version 4 of RFC 9562.
fn uuid(random: [u8; 16]) -> String {
    let number = u128::from_be_bytes(random) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let digits = format!("{number:032x}");
    [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-")
}

/// Copies the labels, but for those that say where the source itself is from, and adds the fork's own.
fn copy_labels(
    connection: &Connection,
    Tables { labels, .. }: &Tables,
    request: &ForkRequest,
    last: Option<i64>,
) -> Result<(), Failure> {
    let [from, through] = LINEAGE;
    connection.execute(
        &format!(
            "INSERT INTO {labels} (session_id, name, value) \
             SELECT ?2, name, value FROM {labels} WHERE session_id = ?1 AND name NOT IN (?3, ?4)"
        ),
        params![request.source_id(), request.fork_id(), from, through],
    )?;
    for (name, value) in request.lineage(last) {
        connection.execute(
            &format!("INSERT INTO {labels} (session_id, name, value) VALUES (?1, ?2, ?3)"),
            params![request.fork_id(), name, value],
        )?;
    }
    Ok(())
}

/// A row was not copied though nothing failed: a trigger's `RAISE(IGNORE)`, or a constraint's `ON CONFLICT IGNORE`.
fn swallowed(request: &ForkRequest) -> Failure {
    StoreError::invalid(format!(
        "session {} cannot be forked: a trigger or constraint of a table's owner ignored a row of the copy; nothing was stored",
        Quoted(request.source_id())
    ))
    .into()
}
