//! What a copy reads: records, labels and events of many sessions. `read` calls it, and a check goes through the sessions of events
//! by it.

use std::fs;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::connection::{Location, Target};
use super::record::{event, session};
use super::tables::Tables;
use crate::store::check::SESSIONS_AT_ONCE;
use crate::store::scan::{EventScan, Head, Runs, Scan, Scanned, Unrecorded};
use crate::store::tables::columns::{SESSIONS, names, of_one_session};

/// Reads what is asked for.
pub(super) fn scan(
    connection: &Connection,
    target: &Target,
    tables: &Tables,
    scan: &Scan,
) -> rusqlite::Result<Scanned> {
    match scan {
        Scan::Heads(ids) => heads(connection, tables, ids).map(Scanned::Heads),
        Scan::Events(scan) => events(connection, tables, scan),
        Scan::Unrecorded(after) => unrecorded(connection, tables, after.as_deref()).map(Scanned::Unrecorded),
        Scan::Identity => Ok(Scanned::Identity(identity(target, tables))),
    }
}

fn heads(connection: &Connection, tables: &Tables, ids: &[String]) -> rusqlite::Result<Vec<Head>> {
    let mut records = connection.prepare_cached(&format!(
        "SELECT {} FROM {} WHERE id = ?1",
        names(&SESSIONS),
        tables.sessions
    ))?;
    let mut labels = connection.prepare_cached(&format!(
        "SELECT name, value FROM {} WHERE session_id = ?1",
        tables.labels
    ))?;
    let head = |id: &String| {
        let record = records.query_row([id], |row| {
            let mut text = String::new();
            session(row)?.write_json(&mut text);
            Ok(text)
        });
        let labels = labels.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Head {
            record: record.optional()?,
            labels: labels.collect::<rusqlite::Result<_>>()?,
        })
    };
    ids.iter().map(head).collect()
}

fn events(connection: &Connection, tables: &Tables, scan: &EventScan) -> rusqlite::Result<Scanned> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {} FROM {} WHERE session_id = ?1 AND event_index > ?2 ORDER BY event_index",
        names(of_one_session()),
        tables.events
    ))?;
    let mut runs = Runs::default();
    for (place, start) in scan.starts.iter().enumerate() {
        if runs.are_full(scan) {
            return Ok(runs.so_far());
        }
        runs.come_to(place);
        let mut rows = select.query((&start.session_id, start.after))?;
        while let Some(row) = rows.next()? {
            if runs.are_full(scan) {
                return Ok(runs.cut_off());
            }
            let event = event(row, &start.session_id)?;
            let mut text = String::with_capacity(event.payload.len() + 256);
            event.write_json(&mut text);
            runs.push(place, event.event_index, text);
        }
    }
    Ok(runs.complete(scan))
}

fn unrecorded(connection: &Connection, tables: &Tables, after: Option<&str>) -> rusqlite::Result<Unrecorded> {
    let found = sessions_of_events(connection, tables, after)?;
    Ok(Unrecorded {
        ids: found
            .ids
            .into_iter()
            .filter(|(_, has_record)| !has_record)
            .map(|(id, _)| id)
            .collect(),
        next: found.next,
    })
}

/// Some of the sessions of events.
pub(super) struct SessionsOfEvents {
    /// Their ids, and whether each has a record.
    pub(super) ids: Vec<(String, bool)>,
    /// The last one, if others may follow.
    pub(super) next: Option<String>,
}

/// Goes from session to session of the events, by their index alone.
pub(super) fn sessions_of_events(
    connection: &Connection,
    tables: &Tables,
    after: Option<&str>,
) -> rusqlite::Result<SessionsOfEvents> {
    let Tables { sessions, events, .. } = tables;
    let first = after.map_or("session_id >= ''", |_| "session_id > ?1");
    // Of values of other types SQLite sorts numbers before texts and blobs after them; `check::unplaced` tells of these.
    let is_text = "session_id < x''";
    let sql = format!(
        "WITH RECURSIVE found (id) AS (SELECT (SELECT min(session_id) FROM {events} WHERE {first} AND {is_text}) UNION ALL \
         SELECT (SELECT min(session_id) FROM {events} WHERE session_id > found.id AND {is_text}) FROM found WHERE found.id IS NOT NULL) \
         SELECT id, EXISTS (SELECT 1 FROM {sessions} WHERE {sessions}.id = found.id) FROM found WHERE id IS NOT NULL \
         LIMIT {SESSIONS_AT_ONCE}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let ids = statement.query_map(params_from_iter(after), |row| Ok((told(row.get_ref(0)?), row.get(1)?)))?;
    let ids = ids.collect::<rusqlite::Result<Vec<(String, bool)>>>()?;
    Ok(SessionsOfEvents {
        next: next_id(&ids, after),
        ids,
    })
}

/// The id after which the next look begins, if there may be more. Ids that sort in another way must not lead in a circle.
fn next_id(ids: &[(String, bool)], after: Option<&str>) -> Option<String> {
    let (last, _) = ids.get(SESSIONS_AT_ONCE - 1)?;
    after.is_none_or(|after| **last > *after).then(|| last.clone())
}

/// What is told of an id, whatever another program has put there.
pub(super) fn told(id: ValueRef<'_>) -> String {
    match id {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn identity(target: &Target, tables: &Tables) -> String {
    let place = match &target.location {
        Location::File(path) => file_identity(path),
        Location::Memory(name) => name.clone(),
    };
    format!("sqlite {place} {}", tables.events)
}

/// The same for all names of a file, also of one that has several without being a link.
#[cfg(unix)]
fn file_identity(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or_else(
        |_| path.display().to_string(),
        |file| format!("{}:{}", file.dev(), file.ino()),
    )
}

#[cfg(not(unix))]
fn file_identity(path: &Path) -> String {
    let found = fs::canonicalize(path);
    found.as_deref().unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests;
