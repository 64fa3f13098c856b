//! What a check looks at in an SQLite database. `read` calls it, on a connection that only reads.
//!
//! `files` looks at the files around the database, and `mounts` at the file system that they are on.

mod files;
mod mounts;

use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, params};

use super::connection::{Durability, Location, Target};
use super::error::{is_damage, row_problem};
use super::scan::{sessions_of_events, told};
use super::tables::{self, Tables};
use super::{rebuild, record};
use crate::store::check::{Code, Finding, Index, Look, Looked, Place, SESSIONS_AT_ONCE, redundant};
use crate::store::tables::TableName;
use crate::store::tables::columns::{SESSIONS, names, of_one_session};
use crate::store::tables::layout::Layout;

/// How long one look at events reads. The log cannot be folded into the file meanwhile.
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// Which events are at no place.
const UNPLACED: &str = "typeof(event_index) <> 'integer' OR typeof(session_id) <> 'text'";

/// How many tables we have.
const TABLES: usize = 4;

fn ours(tables: &Tables) -> [&TableName; TABLES] {
    [&tables.sessions, &tables.events, &tables.labels, &tables.deleted]
}

/// Looks at one part of the database.
pub(super) fn look(connection: &Connection, target: &Target, tables: &Tables, look: &Look) -> rusqlite::Result<Looked> {
    let looked = match look {
        Look::Database => database(connection, target).map(Into::into),
        Look::Tables => of_tables(connection, target, tables).map(Into::into),
        Look::Integrity(number) => integrity(connection, tables, *number),
        Look::Unplaced => unplaced(connection, tables).map(Into::into),
        Look::Events(after) => events(connection, tables, after.as_ref()),
        Look::Sessions(after) => sessions(connection, tables, after.as_deref()),
        Look::SessionsOfEvents(after) => without_record(connection, tables, after.as_deref()),
    };
    match looked {
        // So badly that it cannot even be looked at.
        Err(error) if is_damage(&error) => {
            let finding = Finding::new(
                Code::Damaged,
                format!("the file is damaged: {} failed with {error:?}", look.doing()),
                "restore a backup, or save what can be saved with `sqlite3 FILE .recover`",
            );
            Ok(Looked {
                next: next_table(look),
                ..vec![finding].into()
            })
        }
        looked => looked,
    }
}

/// The look at the integrity of the table after this one.
fn next_table(look: &Look) -> Option<Look> {
    match look {
        Look::Integrity(number) if number + 1 < TABLES => Some(Look::Integrity(number + 1)),
        _ => None,
    }
}

fn database(connection: &Connection, target: &Target) -> rusqlite::Result<Vec<Finding>> {
    let Location::File(path) = &target.location else {
        return Ok(Vec::new());
    };
    let mut findings = files::findings(path);
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        findings.push(Finding::new(
            Code::NoWriteAheadLog,
            format!(
                "the file has no write-ahead log (journal_mode is {mode}): readers and writers wait for each other"
            ),
            "put the file on a local file system with shared memory, and open it once with a driver that may migrate",
        ));
    }
    if target.durability == Durability::Normal {
        findings.push(Finding::new(
            Code::NormalDurability,
            "this driver does not wait for the disk: a power cut may take the last writes that were acknowledged",
            "leave out the option durability, unless this is what you want",
        ));
    }
    Ok(findings)
}

fn of_tables(connection: &Connection, target: &Target, tables: &Tables) -> rusqlite::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    match tables::missing(connection, tables)? {
        Ok(None) => {}
        Ok(Some(missing)) => findings.push(Finding::new(
            Code::TablesNotReady,
            format!("the tables of {} lack something: {missing}", target.location.name()),
            "close all drivers and open one that may migrate: it adds what is missing",
        )),
        Err(refusal) => findings.push(Finding::new(
            Code::TablesNotReady,
            refusal.to_string(),
            "restore the table as it was, or a backup",
        )),
    }
    if tables::layout(connection, tables)? == Layout::Adopted {
        findings.push(
            Finding::new(
                Code::AdoptedLayout,
                "the table of events was made by another program, and its keys and indexes slow each write down",
                "run a rebuild",
            )
            .of_table(&tables.events.plain),
        );
    }
    if rebuild::is_interrupted(connection, tables)? {
        findings.push(Finding::interrupted_rebuild(&tables.events.plain));
    }
    findings.extend(redundant(&indexes(connection, tables)?));
    Ok(findings)
}

/// The indexes of our tables that hold every row.
fn indexes(connection: &Connection, tables: &Tables) -> rusqlite::Result<Vec<Index>> {
    let sql = "SELECT list.name, list.\"unique\", list.origin <> 'c', \
               (SELECT group_concat(coalesce(name, list.name || seqno) || ' ' || \"desc\" || ' ' || coll, char(10)) \
                FROM (SELECT * FROM pragma_index_xinfo(list.name) WHERE key ORDER BY seqno)) \
               FROM pragma_index_list(?1) AS list WHERE list.partial = 0";
    let mut found = Vec::new();
    for table in ours(tables) {
        let index = |row: &Row<'_>| {
            Ok(Index {
                table: table.plain.clone(),
                name: row.get(0)?,
                unique: row.get(1)?,
                of_constraint: row.get(2)?,
                keys: row.get::<_, String>(3)?.lines().map(str::to_owned).collect(),
            })
        };
        let mut statement = connection.prepare(sql)?;
        for index in statement.query_map([&table.plain], index)? {
            found.push(index?);
        }
    }
    Ok(found)
}

/// SQLite's own check of one table and its indexes: each is a read of its own, so that the log can be folded in between.
fn integrity(connection: &Connection, tables: &Tables, number: usize) -> rusqlite::Result<Looked> {
    /// What SQLite says at most.
    const MOST: usize = 100;
    let Some(table) = ours(tables).get(number).copied() else {
        return Ok(Looked::default());
    };
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({table})"))?;
    let problems = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let mut looked = Looked {
        next: next_table(&Look::Integrity(number)),
        ..Looked::default()
    };
    if problems != ["ok"] {
        let (first, count) = (problems.first().map_or("", String::as_str), problems.len());
        let at_least = if count >= MOST { "at least " } else { "" };
        let finding = Finding::new(
            Code::Damaged,
            format!(
                "the table or an index of it is damaged, in {at_least}{count} places; the first: {}",
                first.trim_end()
            ),
            "if it is indexes alone, REINDEX mends them; else restore a backup, or save what can be saved with `sqlite3 FILE .recover`",
        );
        looked
            .findings
            .push(finding.of_table(&table.plain).counted(count as u64));
    }
    Ok(looked)
}

/// Counts events that are at no place. The index on places holds all that is asked for.
fn unplaced(connection: &Connection, tables: &Tables) -> rusqlite::Result<Vec<Finding>> {
    let sql = format!("SELECT count(*) FROM {} WHERE {UNPLACED}", tables.events);
    let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
    let found = unreadable_event(tables, "session_id or event_index holds no value of its type");
    Ok(Vec::from_iter((count > 0).then(|| found.counted(count.unsigned_abs()))))
}

/// Reads events in the order of their places, as a page of them is read.
fn events(connection: &Connection, tables: &Tables, after: Option<&Place>) -> rusqlite::Result<Looked> {
    let events = &tables.events;
    let began = Instant::now();
    let mut looked = Looked::default();
    let condition = after.map_or("true", |_| "(session_id, event_index) > (?1, ?2)");
    let sql = format!(
        "SELECT {}, session_id FROM {events} WHERE {condition} AND NOT ({UNPLACED}) ORDER BY session_id, event_index",
        names(of_one_session())
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = match after {
        Some(place) => statement.query(params![place.session_id, place.event_index])?,
        None => statement.query([])?,
    };
    while let Some(row) = rows.next()? {
        looked.rows += 1;
        let place = Place {
            session_id: told(row.get_ref("session_id")?),
            event_index: row.get("event_index")?,
        };
        if let Err(error) = row
            .get::<_, String>("session_id")
            .and_then(|id| record::event(row, &id).map(drop))
        {
            let Some(reason) = row_problem(&error) else {
                return Err(error);
            };
            let found = unreadable_event(tables, &reason);
            looked.findings.push(found.of_session(&place.session_id));
        }
        if looked.rows.is_multiple_of(100) && began.elapsed() > LONGEST_LOOK {
            // An id that is not UTF-8 is told as another one, which may be before it: a check must not go round in a circle.
            let goes_on = after.is_none_or(|after| place > *after);
            looked.next = goes_on.then_some(Look::Events(Some(place)));
            break;
        }
    }
    Ok(looked)
}

fn unreadable_event(tables: &Tables, reason: &str) -> Finding {
    Finding::new(
        Code::UnreadableEvents,
        format!("events cannot be read, since {reason}; pages with them reject with ERR_PERSIST_CORRUPT"),
        "mend the rows, or delete them; another program must have written them",
    )
    .of_table(&tables.events.plain)
}

/// Reads records in the order of their ids, and looks whether they have events.
fn sessions(connection: &Connection, tables: &Tables, after: Option<&str>) -> rusqlite::Result<Looked> {
    let Tables { sessions, events, .. } = tables;
    let condition = after.map_or("true", |_| "id > ?1");
    let sql = format!(
        "SELECT {}, EXISTS (SELECT 1 FROM {events} WHERE session_id = {sessions}.id) AS has_events FROM {sessions} \
         WHERE {condition} ORDER BY id LIMIT {SESSIONS_AT_ONCE}",
        names(&SESSIONS)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(after))?;
    let mut looked = Looked::default();
    let mut last = None;
    while let Some(row) = rows.next()? {
        looked.rows += 1;
        let id = told(row.get_ref("id")?);
        if let Err(error) = record::session(row) {
            let Some(reason) = row_problem(&error) else {
                return Err(error);
            };
            let finding = Finding::new(
                Code::UnreadableSessions,
                format!("records cannot be read, since {reason}"),
                "write the record again, or mend or delete the row; another program must have written it",
            );
            looked.findings.push(finding.of_table(&sessions.plain).of_session(&id));
        }
        if !row.get::<_, bool>("has_events")? {
            looked
                .findings
                .push(Finding::session_without_events(&sessions.plain, &id));
        }
        last = Some(id);
    }
    looked.next = next(&looked, last, after).map(|id| Look::Sessions(Some(id)));
    Ok(looked)
}

/// The id after which the next look begins, if there may be more. Ids that sort in another way must not lead in a circle.
fn next(looked: &Looked, last: Option<String>, after: Option<&str>) -> Option<String> {
    let is_full = looked.rows == SESSIONS_AT_ONCE as u64;
    last.filter(|last| is_full && after.is_none_or(|after| **last > *after))
}

/// Looks whether the sessions of events have records.
fn without_record(connection: &Connection, tables: &Tables, after: Option<&str>) -> rusqlite::Result<Looked> {
    let found = sessions_of_events(connection, tables, after)?;
    let without = found.ids.iter().filter(|(_, has_record)| !has_record);
    let finding = |(id, _): &(String, bool)| Finding::events_without_session(&tables.events.plain, id);
    Ok(Looked {
        findings: without.map(finding).collect(),
        next: found.next.map(|id| Look::SessionsOfEvents(Some(id))),
        rows: found.ids.len() as u64,
    })
}
