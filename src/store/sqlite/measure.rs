//! How much a database holds. A reader calls it.
//!
//! To count the rows of a large table takes seconds, and whoever watches a store asks every second. So each call counts for some
//! milliseconds and goes on where the last one stopped. A number is what the last sweep through the table found, and the rows
//! that have come since: these have higher rowids. What others remove is found by the next sweep.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::connection::Location;
use super::tables::{Tables, layout};
use crate::store::statistics::{Counts, DatabaseSize, EXACT_ROWS};
use crate::store::tables::TableName;
use crate::store::tables::columns::PLACE;

/// How long one call counts at most, for each of the two tables.
const COUNTS_FOR: Duration = Duration::from_millis(3);

/// How many rows it counts between two looks at the clock.
const ROWS_AT_ONCE: i64 = 500;

/// How long the number that a sweep has found is good enough.
const GOOD_FOR: Duration = Duration::from_secs(10 * 60);

/// What a reader knows of the tables.
pub(super) struct Measurement {
    tables: Tables,
    log: Option<PathBuf>,
    sessions: RowCount,
    events: RowCount,
}

impl Measurement {
    pub(super) fn new(location: &Location, tables: &Tables) -> Self {
        Self {
            tables: tables.clone(),
            log: location.log(),
            sessions: RowCount::new(&tables.sessions, &["id"]),
            events: RowCount::new(&tables.events, &PLACE),
        }
    }

    /// Measures what there is now.
    pub(super) fn take(&mut self, connection: &Connection) -> rusqlite::Result<DatabaseSize> {
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let page_bytes = number("page_size")?;
        let bytes = |pages: i64| u64::try_from(pages * page_bytes).unwrap_or(0);
        let (sessions, sessions_counted) = self.sessions.update(connection)?;
        let (events, events_counted) = self.events.update(connection)?;
        Ok(DatabaseSize {
            layout: layout(connection, &self.tables)?,
            sessions,
            events,
            counts: match (sessions_counted, events_counted) {
                (Counts::Exact, Counts::Exact) => Counts::Exact,
                _ => Counts::Estimate,
            },
            data_bytes: bytes(number("page_count")?),
            free_bytes: Some(bytes(number("freelist_count")?)),
            log_bytes: Some(self.log.as_deref().map_or(0, super::log::bytes)),
        })
    }
}

/// How many rows a table has.
struct RowCount {
    /// Whether there are more than are counted each time.
    few: String,
    /// The highest rowid, which new rows exceed.
    newest: String,
    /// The rows after a key, in its order, and whether each is one that the sweep is to count.
    next: String,
    first: Vec<Value>,
    sweep: Option<Sweep>,
    /// What the last sweep has found.
    found: Option<Found>,
}

/// A sweep that is under way.
struct Sweep {
    /// The key of the last row that was counted.
    after: Vec<Value>,
    rows: i64,
    /// The highest rowid when it began. Rows beyond are not counted.
    newest: i64,
}

struct Found {
    rows: i64,
    newest: i64,
    at: Instant,
}

impl RowCount {
    /// `key` has a unique index.
    fn new(table: &TableName, key: &[&str]) -> Self {
        let columns = key.join(", ");
        let values: Vec<String> = (1..=key.len()).map(|number| format!("?{number}")).collect();
        let first = [Value::Text(String::new()), Value::Integer(i64::MIN)];
        Self {
            few: format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {})", EXACT_ROWS + 1),
            newest: format!("SELECT max(rowid) FROM {table}"),
            next: format!(
                "SELECT rowid <= ?{}, {columns} FROM {table} WHERE ({columns}) > ({}) ORDER BY {columns}",
                key.len() + 1,
                values.join(", "),
            ),
            first: first.into_iter().take(key.len()).collect(),
            sweep: None,
            found: None,
        }
    }

    /// Counts for a while, and says how many rows there are.
    fn update(&mut self, connection: &Connection) -> rusqlite::Result<(i64, Counts)> {
        let few: i64 = connection.prepare_cached(&self.few)?.query_row([], |row| row.get(0))?;
        if few <= EXACT_ROWS {
            (self.sweep, self.found) = (None, None);
            return Ok((few, Counts::Exact));
        }
        // A table that somebody made without rowids has nothing that tells new rows.
        let newest = connection
            .prepare_cached(&self.newest)
            .and_then(|mut newest| newest.query_row([], |row| row.get::<_, Option<i64>>(0)));
        let Ok(newest) = newest.map(Option::unwrap_or_default) else {
            return Ok((few, Counts::Estimate));
        };
        if self.found.as_ref().is_some_and(|found| newest < found.newest) {
            // Its rows have new rowids, or the last ones are gone.
            (self.sweep, self.found) = (None, None);
        }
        if self.found.as_ref().is_none_or(|found| found.at.elapsed() >= GOOD_FOR) {
            self.go_on(connection, newest)?;
        }
        let rows = match &self.found {
            Some(found) => found.rows + newest - found.newest,
            // As many as there would be had none ever been removed.
            None => newest,
        };
        Ok((rows.max(few), Counts::Estimate))
    }

    fn go_on(&mut self, connection: &Connection, newest: i64) -> rusqlite::Result<()> {
        let began = Instant::now();
        let sweep = self.sweep.get_or_insert_with(|| Sweep {
            after: self.first.clone(),
            rows: 0,
            newest,
        });
        let mut statement = connection.prepare_cached(&self.next)?;
        let parameters = sweep.after.iter().cloned().chain([Value::Integer(sweep.newest)]);
        let mut rows = statement.query(params_from_iter(parameters))?;
        loop {
            let mut last = None;
            for place in 1..=ROWS_AT_ONCE {
                let Some(row) = rows.next()? else {
                    self.found = Some(Found {
                        rows: sweep.rows,
                        newest: sweep.newest,
                        at: Instant::now(),
                    });
                    self.sweep = None;
                    return Ok(());
                };
                sweep.rows += row.get::<_, i64>(0)?;
                if place == ROWS_AT_ONCE {
                    let key = (1..=sweep.after.len()).map(|column| row.get(column));
                    last = Some(key.collect::<rusqlite::Result<Vec<Value>>>()?);
                }
            }
            sweep.after = last.unwrap_or_default();
            if began.elapsed() >= COUNTS_FOR {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::tables::TablePrefix;

    const ROWS: i64 = 40_000;

    fn events() -> (Connection, RowCount) {
        let connection = Connection::open_in_memory().unwrap();
        let schema = "CREATE TABLE events (session_id TEXT, event_index INTEGER); \
                      CREATE UNIQUE INDEX place ON events (session_id, event_index)";
        connection.execute_batch(schema).unwrap();
        insert(&connection, 0, ROWS);
        let tables = Tables::with_prefix(&TablePrefix::default());
        (connection, RowCount::new(&tables.events, &PLACE))
    }

    fn insert(connection: &Connection, from: i64, below: i64) {
        let sql = "WITH RECURSIVE n (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2 - 1) \
                   INSERT INTO events SELECT 's' || (n % 7), n FROM n";
        connection.execute(sql, [from, below]).unwrap();
    }

    fn swept(connection: &Connection, count: &mut RowCount) -> i64 {
        (0..10_000)
            .find_map(|_| {
                let (rows, _) = count.update(connection).unwrap();
                count.found.is_some().then_some(rows)
            })
            .unwrap()
    }

    #[test]
    fn a_sweep_counts_what_there_is_and_new_rows_are_added() {
        let (connection, mut count) = events();
        assert_eq!(count.update(&connection).unwrap(), (ROWS, Counts::Estimate));
        count.sweep = None;
        let remove = "DELETE FROM events WHERE event_index < 5000";
        connection.execute(remove, []).unwrap();
        assert_eq!(swept(&connection, &mut count), ROWS - 5000);
        insert(&connection, ROWS, ROWS + 100);
        assert_eq!(count.update(&connection).unwrap(), (ROWS - 4900, Counts::Estimate));
    }

    #[test]
    fn rows_that_come_during_a_sweep_are_counted_once() {
        let (connection, mut count) = events();
        count.go_on(&connection, ROWS).unwrap();
        insert(&connection, ROWS, ROWS + 1000);
        assert_eq!(swept(&connection, &mut count), ROWS + 1000);
    }

    #[test]
    fn few_rows_are_counted_exactly_and_what_was_swept_is_forgotten() {
        let (connection, mut count) = events();
        swept(&connection, &mut count);
        connection
            .execute("DELETE FROM events WHERE event_index >= 123", [])
            .unwrap();
        assert_eq!(count.update(&connection).unwrap(), (123, Counts::Exact));
        assert!(count.found.is_none());
    }

    #[test]
    fn a_table_whose_last_rows_are_gone_is_swept_again() {
        let (connection, mut count) = events();
        swept(&connection, &mut count);
        connection
            .execute("DELETE FROM events WHERE rowid > 20000 OR rowid <= 1000", [])
            .unwrap();
        assert_eq!(swept(&connection, &mut count), 19_000);
    }
}
