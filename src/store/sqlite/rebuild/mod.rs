//! The steps of a rebuild of the table of events ([`crate::store::rebuild`]). `write` calls it, each time in a transaction of its own.
//!
//! `obstacles` finds what of the table's owner forbids it, and `leftovers` removes what is not needed any more.

mod leftovers;
mod obstacles;

use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params, params_from_iter};

pub(super) use leftovers::{is_interrupted, remove_dead};

use super::tables::{self, Tables, free_index_name};
use crate::store::check::Place;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::rebuild::{Outcome, RebuildRequest, RebuildStep};
use crate::store::tables::columns::{Column, Data, EVENTS, Presence, definitions, join, names};
use crate::store::tables::layout::Layout;
use crate::store::time::now;

/// How long a step works before it lets others write.
const LONGEST_STEP: Duration = Duration::from_millis(8);

/// Why a step was not done.
pub(super) enum Failure {
    /// It must not be done.
    Refused(StoreError),
    /// SQLite failed.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

fn refused(kind: ErrorKind, what: &str) -> Failure {
    Failure::Refused(StoreError::new(
        kind,
        format!("rebuilding the table of events failed: {what}"),
    ))
}

/// Does a step, in the transaction that is open.
pub(super) fn step(connection: &Connection, tables: &Tables, request: &RebuildRequest) -> Result<Outcome, Failure> {
    let RebuildRequest { id, step } = request;
    match step {
        RebuildStep::TakeOver => Ok(leftovers::take_over(connection, tables, id)?),
        RebuildStep::Clear => Ok(leftovers::clear(connection, tables, id)?),
        RebuildStep::Begin => begin(connection, tables, id),
        RebuildStep::Copy(after) => {
            check_under_way(connection, tables, id)?;
            copy(connection, tables, after.as_ref())
        }
        RebuildStep::CatchUp => {
            check_under_way(connection, tables, id)?;
            catch_up(connection, tables)
        }
        RebuildStep::Switch => {
            check_under_way(connection, tables, id)?;
            switch(connection, tables)
        }
    }
}

/// Fails when another rebuild has taken the place of this one, or somebody took it for dead; says that it lives.
fn check_under_way(connection: &Connection, tables: &Tables, id: &str) -> Result<(), Failure> {
    let sql = format!("UPDATE {} SET beat_at = ?1 WHERE id = ?2", tables.rebuild.state);
    if leftovers::are_there(connection, tables)? && connection.prepare_cached(&sql)?.execute(params![now(), id])? == 1 {
        return Ok(());
    }
    Err(refused(
        ErrorKind::Busy,
        "another rebuild has begun meanwhile, or this one was silent for so long that it was taken for dead; nothing was changed",
    ))
}

fn begin(connection: &Connection, tables: &Tables, id: &str) -> Result<Outcome, Failure> {
    if tables::layout(connection, tables)? == Layout::Own {
        return Ok(Outcome::Fresh);
    }
    if leftovers::are_there(connection, tables)? {
        // Another rebuild came in between.
        return check_under_way(connection, tables, id).map(|()| Outcome::Done);
    }
    refuse_obstacles(connection, tables)?;
    refuse_taken_names(connection, tables)?;
    let state = &tables.rebuild.state;
    let (copy, changes) = (&tables.rebuild.copy, &tables.rebuild.changes);
    let place = free_index_name(connection, &format!("{}_session_id_event_index", tables.events.plain))?;
    connection.execute_batch(&format!(
        "CREATE TABLE {state} (id TEXT NOT NULL, beat_at INTEGER NOT NULL);
         CREATE TABLE {copy} ({});
         CREATE UNIQUE INDEX \"{place}\" ON {copy} (session_id, event_index);
         CREATE TABLE {changes} (number INTEGER PRIMARY KEY, session_id, event_index)",
        definitions(&EVENTS, tables::declared_type)
    ))?;
    connection.execute(&format!("INSERT INTO {state} VALUES (?1, ?2)"), params![id, now()])?;
    for (number, trigger) in triggers(connection, tables)?.iter().enumerate() {
        let name = &tables.rebuild.trigger;
        connection.execute_batch(&format!("CREATE TRIGGER \"{name}_{number}\" {trigger}"))?;
    }
    Ok(Outcome::Done)
}

/// Fails where something of the owner's hangs on the table.
fn refuse_obstacles(connection: &Connection, tables: &Tables) -> Result<(), Failure> {
    let obstacles = obstacles::of(connection, tables)?;
    if !obstacles.is_empty() {
        return Err(refused(
            ErrorKind::Schema,
            &format!(
                "the table {:?} has what only its owner may take away: {}; nothing was changed, drop it and call again",
                tables.events.plain,
                obstacles.join(", ")
            ),
        ));
    }
    Ok(())
}

/// Fails where something else has a name that a rebuild needs.
fn refuse_taken_names(connection: &Connection, tables: &Tables) -> Result<(), Failure> {
    for table in tables.rebuild.all() {
        if tables::has_name(connection, &table.plain)? {
            return Err(refused(
                ErrorKind::Schema,
                &format!(
                    "it needs the name {:?}, which something else in the database has; nothing was changed, rename that and call again",
                    table.plain
                ),
            ));
        }
    }
    Ok(())
}

/// How many triggers there are.
const TRIGGERS: usize = 5;

/// What puts down the places of events that are written. `REPLACE` removes the rows that are in its way without a word to
/// triggers, so those are put down before it does.
fn triggers(connection: &Connection, tables: &Tables) -> rusqlite::Result<[String; TRIGGERS]> {
    let (events, changes) = (&tables.events, &tables.rebuild.changes);
    let put = format!("INSERT INTO {changes} (session_id, event_index)");
    let put_those =
        |condition: String| format!("{put} SELECT session_id, event_index FROM {events} WHERE {condition};");
    let in_the_way = obstacles::in_the_way(connection, tables)?;
    let in_the_way: String = in_the_way.into_iter().map(put_those).collect();
    // A trigger must do something.
    let before = format!("FOR EACH ROW BEGIN SELECT 1; {in_the_way} END");
    let (old, new) = (
        format!("{put} VALUES (OLD.session_id, OLD.event_index);"),
        format!("{put} VALUES (NEW.session_id, NEW.event_index);"),
    );
    Ok([
        format!("BEFORE INSERT ON {events} {before}"),
        format!("BEFORE UPDATE ON {events} {before}"),
        format!("AFTER INSERT ON {events} FOR EACH ROW BEGIN {new} END"),
        format!("AFTER UPDATE ON {events} FOR EACH ROW BEGIN {old} {new} END"),
        format!("AFTER DELETE ON {events} FOR EACH ROW BEGIN {old} END"),
    ])
}

/// The columns of an event in the old table as the fresh one takes them: a NULL that another program left reads as a text all the
/// same (`record`).
fn columns_of_old() -> String {
    join(&EVENTS, |Column { name, data, presence }| match (data, presence) {
        (_, Presence::Optional) | (Data::Time | Data::Index, _) => (*name).to_owned(),
        (Data::Json, _) => format!("coalesce({name}, 'null')"),
        (Data::Id | Data::Text, _) => format!("coalesce({name}, '')"),
    })
}

fn copy(connection: &Connection, tables: &Tables, after: Option<&Place>) -> Result<Outcome, Failure> {
    let (events, copy) = (&tables.events, &tables.rebuild.copy);
    let began = Instant::now();
    let condition = after.map_or("", |_| "WHERE (session_id, event_index) > (?1, ?2)");
    let mut select = connection.prepare_cached(&format!(
        "SELECT {}, coalesce(length(CAST(payload_json AS BLOB)), 0) + coalesce(length(CAST(extra_json AS BLOB)), 0) AS bytes \
         FROM {events} {condition} ORDER BY session_id, event_index",
        columns_of_old()
    ))?;
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO {copy} ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        names(&EVENTS)
    ))?;
    let mut rows = match after {
        Some(place) => select.query(params![place.session_id, place.event_index])?,
        None => select.query([])?,
    };
    let (mut copied, mut bytes, mut last) = (0, 0_i64, None);
    while let Some(row) = rows.next()? {
        let values = (0..EVENTS.len()).map(|column| Ok(ToSqlOutput::Borrowed(row.get_ref(column)?)));
        let values = values.collect::<rusqlite::Result<Vec<_>>>()?;
        stored(insert.execute(params_from_iter(&values)))?;
        bytes += row.get::<_, i64>("bytes")?;
        copied += 1;
        if began.elapsed() >= LONGEST_STEP {
            last = Some(place(row)?);
            break;
        }
    }
    Ok(Outcome::Copied {
        events: copied,
        bytes: bytes.unsigned_abs(),
        last,
    })
}

/// An event that lacks what each of ours has is not to be lost, nor made up.
fn stored(inserted: rusqlite::Result<usize>) -> Result<(), Failure> {
    match inserted {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Err(refused(
            ErrorKind::Corrupt,
            "an event cannot be copied as it is, since another program has left out a value of it; nothing was changed, a check tells \
             which event, mend or delete it and call again",
        )),
        inserted => Ok(inserted.map(drop)?),
    }
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place {
        event_index: row.get(1)?,
        session_id: row.get(2)?,
    })
}

/// Copies places again that were changed, for as long as a step may take.
fn catch_up(connection: &Connection, tables: &Tables) -> Result<Outcome, Failure> {
    let began = Instant::now();
    let (events, copy, changes) = (&tables.events, &tables.rebuild.copy, &tables.rebuild.changes);
    let mut next = connection.prepare_cached(&format!(
        "SELECT number, session_id, event_index, typeof(session_id) = 'text' AND typeof(event_index) = 'integer' \
         FROM {changes} ORDER BY number LIMIT 1"
    ))?;
    let mut remove = connection.prepare_cached(&format!(
        "DELETE FROM {copy} WHERE (session_id, event_index) = (SELECT session_id, event_index FROM {changes} WHERE number = ?1)"
    ))?;
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO {copy} ({}) SELECT {} FROM {events} \
         WHERE (session_id, event_index) = (SELECT session_id, event_index FROM {changes} WHERE number = ?1)",
        names(&EVENTS),
        columns_of_old()
    ))?;
    let mut forget = connection.prepare_cached(&format!("DELETE FROM {changes} WHERE number = ?1"))?;
    loop {
        let change = next.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(3)?)));
        let Some((number, has_place)) = change.optional()? else {
            return Ok(Outcome::Done);
        };
        if has_place {
            remove.execute([number])?;
            stored(insert.execute([number]))?;
        } else {
            check_all_placed(connection, tables)?;
        }
        forget.execute([number])?;
        if began.elapsed() >= LONGEST_STEP {
            return Ok(Outcome::More);
        }
    }
}

/// An event without a place cannot be copied, and is not to be lost.
fn check_all_placed(connection: &Connection, tables: &Tables) -> Result<(), Failure> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM {} WHERE typeof(event_index) <> 'integer' OR typeof(session_id) <> 'text')",
        tables.events
    );
    if connection.query_row(&sql, [], |row| row.get(0))? {
        return Err(refused(
            ErrorKind::Corrupt,
            "another program has written an event without a session or an index meanwhile; nothing was changed, mend or delete it",
        ));
    }
    Ok(())
}

/// Puts the fresh table in the place of the old one, unless too much was changed meanwhile.
fn switch(connection: &Connection, tables: &Tables) -> Result<Outcome, Failure> {
    if catch_up(connection, tables)? == Outcome::More {
        return Ok(Outcome::More);
    }
    leftovers::drop_triggers(connection, tables)?;
    // The owner may have made some meanwhile.
    refuse_obstacles(connection, tables)?;
    // Nothing refers to the table (`obstacles`); without this SQLite would look through all views of the owner's, and fail where one
    // of another table's is broken.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, true)?;
    let (events, copy, replaced) = (&tables.events, &tables.rebuild.copy, &tables.rebuild.replaced);
    let renamed = connection.execute_batch(&format!(
        "ALTER TABLE {events} RENAME TO {replaced}; ALTER TABLE {copy} RENAME TO {events}"
    ));
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, false)?;
    renamed?;
    Ok(Outcome::Done)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::tables::TablePrefix;

    /// The adopted table, its rebuild begun, and what takes the steps.
    fn begun() -> (
        Connection,
        impl Fn(&Connection, RebuildStep) -> Result<Outcome, Failure>,
    ) {
        begun_on(", UNIQUE (id))")
    }

    /// The same; the SQL ends the statement that makes the table, with its keys beside that on places.
    fn begun_on(
        end: &str,
    ) -> (
        Connection,
        impl Fn(&Connection, RebuildStep) -> Result<Outcome, Failure>,
    ) {
        let connection = Connection::open_in_memory().unwrap();
        let definitions = definitions(&EVENTS, tables::declared_type);
        let schema = format!("CREATE TABLE events ({definitions}, UNIQUE (session_id, event_index){end}");
        connection.execute_batch(&schema).unwrap();
        for index in 1..=3 {
            put(&connection, "INSERT", &format!("e{index}"), index);
        }
        let tables = Tables::with_prefix(&TablePrefix::default());
        let step = move |connection: &Connection, step| {
            let id = String::from("id");
            super::step(connection, &tables, &RebuildRequest { id, step })
        };
        assert!(matches!(step(&connection, RebuildStep::Begin), Ok(Outcome::Done)));
        let mut after = None;
        loop {
            let Ok(Outcome::Copied { last, .. }) = step(&connection, RebuildStep::Copy(after)) else {
                panic!("nothing was copied");
            };
            if last.is_none() {
                return (connection, step);
            }
            after = last;
        }
    }

    /// Switches the tables; a slow machine needs several steps for it.
    fn switch(
        connection: &Connection,
        step: impl Fn(&Connection, RebuildStep) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        loop {
            match step(connection, RebuildStep::Switch) {
                Ok(Outcome::More) => {}
                ended => return ended,
            }
        }
    }

    /// The events in their order, with their places.
    fn events(connection: &Connection) -> String {
        let sql = "SELECT group_concat(id || '@' || event_index, ' ') FROM (SELECT * FROM events ORDER BY event_index)";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn put(connection: &Connection, how: &str, id: &str, index: i64) {
        let values = "(id, event_index, session_id, created_at, connection_id, sender, payload_json)";
        let sql = format!("{how} INTO events {values} VALUES (?1, ?2, 's', 1, 'c', 'agent', '{{}}')");
        connection.execute(&sql, params![id, index]).unwrap();
    }

    #[test]
    fn a_row_that_another_one_has_replaced_is_gone_from_the_fresh_table_too() {
        let (connection, step) = begun();
        put(&connection, "REPLACE", "e1", 7);
        put(&connection, "INSERT", "e4", 4);
        let update = "UPDATE OR REPLACE events SET id = 'e2' WHERE id = 'e4'";
        connection.execute(update, []).unwrap();
        assert!(matches!(switch(&connection, step), Ok(Outcome::Done)));
        assert_eq!(events(&connection), "e3@3 e2@4 e1@7");
    }

    #[test]
    fn a_row_is_in_the_way_of_another_one_as_the_owners_index_compares_them() {
        let (connection, step) = begun_on("); CREATE UNIQUE INDEX owners ON events (id COLLATE NOCASE)");
        put(&connection, "REPLACE", "E1", 7);
        assert!(matches!(switch(&connection, step), Ok(Outcome::Done)));
        assert_eq!(events(&connection), "e2@2 e3@3 E1@7");
    }

    #[test]
    fn what_the_owner_has_hung_on_the_table_meanwhile_forbids_the_switch() {
        let (connection, step) = begun();
        let change = "ALTER TABLE events ADD COLUMN note TEXT";
        connection.execute_batch(change).unwrap();
        let Err(Failure::Refused(refusal)) = switch(&connection, step) else {
            panic!("the column would be lost");
        };
        assert!(refusal.to_string().contains("the column note"), "{refusal}");
    }
}
