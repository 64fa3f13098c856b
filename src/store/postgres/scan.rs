//! What a copy reads: records, labels and events of many sessions. `reader` calls it, and a check goes through the sessions of events
//! by it.

use std::collections::HashMap;
use std::pin::pin;

use futures_util::{TryStreamExt, join};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::connection::Connection;
use super::error::{Failure, Remedy};
use super::list::EVENT_COLUMNS;
use super::read::{event_of, session_of};
use super::statement::Parameter;
use super::tables::Tables;
use crate::store::check::SESSIONS_AT_ONCE;
use crate::store::error::ErrorKind;
use crate::store::scan::{EventScan, Head, MOST_BYTES, Run, Runs, Scan, Scanned, Unrecorded};
use crate::store::tables::columns::{SESSIONS, names};

/// Rows that are longer than was thought are left unread past so many bytes, although that costs the connection.
const TOO_MANY_BYTES: usize = 2 * MOST_BYTES;

/// Reads what is asked for. Ids that the database cannot have are those of nothing in it.
pub(super) async fn scan(connection: &Connection, tables: &Tables, scan: &Scan) -> Result<Scanned, Failure> {
    match scan {
        Scan::Heads(ids) => heads(connection, tables, ids).await.map(Scanned::Heads),
        Scan::Events(scan) => events(connection, tables, scan).await,
        Scan::Unrecorded(after) => unrecorded(connection, tables, after.as_deref())
            .await
            .map(Scanned::Unrecorded),
        Scan::Identity => identity(connection, tables).await.map(Scanned::Identity),
    }
}

/// Postgres has no text that holds U+0000.
fn is_possible(id: &str) -> bool {
    !id.contains('\0')
}

async fn heads(client: &Client, tables: &Tables, ids: &[String]) -> Result<Vec<Head>, Failure> {
    let possible: Vec<&str> = ids.iter().map(String::as_str).filter(|id| is_possible(id)).collect();
    let mut found = HashMap::new();
    match heads_of(client, tables, &possible, &mut found).await {
        // The encoding of the database does not have one of them.
        Err(failure) if failure.is_about_our_text() => {
            for id in possible {
                match heads_of(client, tables, &[id], &mut found).await {
                    Err(failure) if failure.is_about_our_text() => {}
                    done => done?,
                }
            }
        }
        done => done?,
    }
    Ok(ids
        .iter()
        .map(|id| found.remove(id.as_str()).unwrap_or_default())
        .collect())
}

async fn heads_of(
    client: &Client,
    tables: &Tables,
    ids: &[&str],
    found: &mut HashMap<String, Head>,
) -> Result<(), Failure> {
    let records = format!(
        "SELECT {} FROM {} WHERE id = ANY ($1)",
        names(&SESSIONS),
        tables.sessions
    );
    let labels = format!(
        "SELECT session_id, name, value FROM {} WHERE session_id = ANY ($1)",
        tables.labels
    );
    let ids: [(&(dyn ToSql + Sync), Type); 1] = [(&ids, Type::TEXT_ARRAY)];
    // One round trip.
    let (records, labels) = join!(client.query_typed(&records, &ids), client.query_typed(&labels, &ids));
    for row in records? {
        let record = session_of(&row)?;
        let mut text = String::new();
        record.write_json(&mut text);
        found.entry(record.id.into_owned()).or_default().record = Some(text);
    }
    for row in labels? {
        let head: &mut Head = found.entry(row.try_get(0)?).or_default();
        head.labels.insert(row.try_get(1)?, row.try_get(2)?);
    }
    Ok(())
}

async fn events(connection: &Connection, tables: &Tables, scan: &EventScan) -> Result<Scanned, Failure> {
    match events_of(connection, tables, scan).await {
        // The encoding of the database does not have one of the ids: so they are asked for one by one.
        Err(failure) if failure.is_about_our_text() => {
            let alone = EventScan {
                starts: scan.starts.iter().take(1).cloned().collect(),
                most_events: scan.most_events,
            };
            match events_of(connection, tables, &alone).await {
                Err(failure) if failure.is_about_our_text() => Ok(Scanned::Events(vec![Run::default()])),
                scanned => scanned,
            }
        }
        scanned => scanned,
    }
}

async fn events_of(connection: &Connection, tables: &Tables, scan: &EventScan) -> Result<Scanned, Failure> {
    // The limits are such that the planner does not know them, and so follows the index (see `list::events`).
    let sql = format!(
        "SELECT event.*, start.place FROM unnest($1, $2) WITH ORDINALITY AS start (session_id, after, place) \
         CROSS JOIN LATERAL (SELECT {} FROM {} WHERE session_id = start.session_id AND event_index > start.after \
         ORDER BY event_index LIMIT (SELECT $3)) AS event LIMIT (SELECT $3)",
        *EVENT_COLUMNS, tables.events
    );
    // No event comes after the highest index.
    let starts = scan.starts.iter().map(|start| {
        if is_possible(&start.session_id) {
            (start.session_id.as_str(), start.after)
        } else {
            ("", i64::MAX)
        }
    });
    let (ids, after): (Vec<&str>, Vec<i64>) = starts.unzip();
    let most_events = i64::from(scan.most_events.max(1));
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (&ids, Type::TEXT_ARRAY),
        (&after, Type::INT8_ARRAY),
        (&most_events, Type::INT8),
    ];
    let mut rows = pin!(connection.query_typed_raw(&sql, parameters).await?);
    let (mut runs, mut left, mut bytes) = (Runs::default(), most_events, 0);
    let mut last = (0, i64::MIN);
    while let Some(row) = rows.try_next().await? {
        left -= 1;
        bytes += row.raw_size_bytes();
        let place: i64 = row.try_get("place")?;
        let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
        let Some(start) = scan.starts.get(place) else {
            return Err(out_of_order());
        };
        let event = event_of(&row, &start.session_id)?;
        // Nothing but the plan sorts them.
        if last > (place, event.event_index) {
            return Err(out_of_order());
        }
        last = (place, event.event_index);
        let mut text = String::with_capacity(event.payload.len() + 256);
        event.write_json(&mut text);
        runs.push(place, event.event_index, text);
        if bytes > TOO_MANY_BYTES && left > 0 {
            connection.leave_unread();
            return Ok(runs.cut_off());
        }
    }
    Ok(if left > 0 { runs.complete(scan) } else { runs.cut_off() })
}

fn out_of_order() -> Failure {
    Failure::new(
        Remedy::None,
        ErrorKind::Internal,
        "the server sent events in another order than they were asked for; please report it",
    )
}

async fn unrecorded(client: &Client, tables: &Tables, after: Option<&str>) -> Result<Unrecorded, Failure> {
    let found = sessions_of_events(client, tables, after).await?;
    Ok(Unrecorded {
        ids: found.without_record,
        next: found.next,
    })
}

/// Some of the sessions of events.
pub(super) struct SessionsOfEvents {
    /// How many they are.
    pub(super) count: usize,
    /// The ids of those that have no record.
    pub(super) without_record: Vec<String>,
    /// The last one, if others may follow.
    pub(super) next: Option<String>,
}

/// Goes from session to session of the events, by their index alone.
pub(super) async fn sessions_of_events(
    client: &Client,
    tables: &Tables,
    after: Option<&str>,
) -> Result<SessionsOfEvents, Failure> {
    let Tables { sessions, events, .. } = tables;
    let first = after.map_or("", |_| "WHERE session_id > $1");
    let sql = format!(
        "WITH RECURSIVE found (id) AS ((SELECT pg_catalog.min(session_id) FROM {events} {first}) UNION ALL \
         SELECT (SELECT pg_catalog.min(session_id) FROM {events} WHERE session_id > found.id) FROM found WHERE found.id IS NOT NULL) \
         SELECT id FROM found WHERE id IS NOT NULL LIMIT {SESSIONS_AT_ONCE}"
    );
    let after: Vec<Parameter<'_>> = after.iter().map(|id| -> Parameter<'_> { (id, Type::TEXT) }).collect();
    let rows = client.query_typed(&sql, &after).await?;
    let ids: Vec<&str> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let without = format!(
        "SELECT given.id FROM unnest($1) AS given (id) WHERE NOT EXISTS (SELECT FROM {sessions} AS stored WHERE stored.id = given.id)"
    );
    let without = client.query_typed(&without, &[(&ids, Type::TEXT_ARRAY)]).await?;
    let id = |row: &Row| row.try_get(0);
    Ok(SessionsOfEvents {
        count: ids.len(),
        without_record: without.iter().map(id).collect::<Result<_, _>>()?,
        next: ids.get(SESSIONS_AT_ONCE - 1).map(|id| (*id).to_owned()),
    })
}

async fn identity(client: &Client, tables: &Tables) -> Result<String, Failure> {
    let sql = "SELECT pg_catalog.concat_ws(' ', 'postgres', pg_catalog.pg_postmaster_start_time(), \
               (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), \
               $1::pg_catalog.regclass::pg_catalog.oid)";
    let rows = client
        .query_typed(sql, &[(&tables.events.to_string(), Type::TEXT)])
        .await?;
    Ok(rows.first().map_or(Ok(String::new()), |row| row.try_get(0))?)
}
