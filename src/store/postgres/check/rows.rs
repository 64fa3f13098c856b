//! Looks at what is stored: rows that cannot be read, events without a record, and records without events.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::store::check::{Code, Finding, Look, Looked, Place, SESSIONS_AT_ONCE};
use crate::store::postgres::connection::Connection;
use crate::store::postgres::error::Failure;
use crate::store::postgres::read::{event_of, session_of};
use crate::store::postgres::scan;
use crate::store::postgres::statement::Parameter;
use crate::store::postgres::tables::Tables;
use crate::store::tables::columns::{Column, Data, SESSIONS, join, names, of_one_session};

/// How many events one look reads.
const EVENTS_AT_ONCE: u64 = 2_000;

/// Counts events that are at no place, which columns of the owner's may allow.
pub(super) async fn unplaced(client: &Client, tables: &Tables) -> Result<Vec<Finding>, Failure> {
    let events = &tables.events;
    let sql = "SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = $1::pg_catalog.regclass AND NOT attnotnull \
               AND attname IN ('session_id', 'event_index')";
    if client
        .query_typed(sql, &[(&events.to_string(), Type::TEXT)])
        .await?
        .is_empty()
    {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT pg_catalog.count(*) FROM {events} WHERE session_id IS NULL OR event_index IS NULL");
    let rows = client.query_typed(&sql, &[]).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    let found = Finding::new(
        Code::UnreadableEvents,
        "events have no session or no index, so that no page shows them",
        "mend the rows, or delete them; another program must have written them",
    );
    let found = found.of_table(&events.plain).counted(count.unsigned_abs());
    Ok(Vec::from_iter((count > 0).then_some(found)))
}

/// Reads events in the order of their places, as a page of them is read. What a column of type `json` holds the server has
/// checked, so it is not sent.
pub(super) async fn events(connection: &Connection, tables: &Tables, after: Option<&Place>) -> Result<Looked, Failure> {
    let events = &tables.events;
    let columns = join(of_one_session(), |Column { name, data, .. }| match data {
        Data::Index => format!("{name}::bigint"),
        Data::Json => format!(
            "CASE WHEN pg_catalog.pg_typeof({name}) <> 'pg_catalog.json'::pg_catalog.regtype THEN {name} END AS {name}"
        ),
        Data::Id | Data::Text | Data::Time => (*name).to_owned(),
    });
    let condition = after.map_or("true", |_| "(session_id, event_index) > ($1, $2)");
    let sql = format!(
        "SELECT {columns}, session_id FROM {events} WHERE {condition} AND session_id IS NOT NULL AND event_index IS NOT NULL \
         ORDER BY session_id, event_index LIMIT (SELECT {EVENTS_AT_ONCE})"
    );
    let parameters: Vec<Parameter<'_>> = match after {
        Some(place) => vec![(&place.session_id, Type::TEXT), (&place.event_index, Type::INT8)],
        None => Vec::new(),
    };
    let mut rows = pin!(connection.query_typed_raw(&sql, parameters).await?);
    let mut looked = Looked::default();
    let mut last = None;
    while let Some(row) = rows.try_next().await? {
        looked.rows += 1;
        let session_id: String = row.try_get::<_, Option<String>>(7)?.unwrap_or_default();
        let event = event_of(&row, &session_id);
        if let Err(failure) = event {
            let finding = Finding::new(
                Code::UnreadableEvents,
                format!("events cannot be read: {}", failure.row_problem()?),
                "mend the rows, or delete them; pages with them reject with ERR_PERSIST_CORRUPT",
            );
            looked
                .findings
                .push(finding.of_table(&events.plain).of_session(&session_id));
        }
        last = Some(Place {
            event_index: row.try_get(1)?,
            session_id,
        });
    }
    if looked.rows == EVENTS_AT_ONCE {
        looked.next = last.map(|place| Look::Events(Some(place)));
    }
    Ok(looked)
}

/// Reads records in the order of their ids, and looks whether they have events.
pub(super) async fn sessions(client: &Client, tables: &Tables, after: Option<&str>) -> Result<Looked, Failure> {
    let Tables { sessions, events, .. } = tables;
    let condition = after.map_or("true", |_| "id > $1");
    let sql = format!(
        "SELECT {} FROM {sessions} WHERE {condition} ORDER BY id LIMIT (SELECT {SESSIONS_AT_ONCE})",
        names(&SESSIONS)
    );
    let after: Vec<Parameter<'_>> = after.iter().map(|id| -> Parameter<'_> { (id, Type::TEXT) }).collect();
    let rows = client.query_typed(&sql, &after).await?;
    let mut looked = Looked::default();
    let mut ids = Vec::with_capacity(rows.len());
    for row in &rows {
        looked.rows += 1;
        let id: &str = row.try_get(0)?;
        if let Err(failure) = session_of(row) {
            let finding = Finding::new(
                Code::UnreadableSessions,
                format!("records cannot be read: {}", failure.row_problem()?),
                "write the record again, or mend or delete the row",
            );
            looked.findings.push(finding.of_table(&sessions.plain).of_session(id));
        }
        ids.push(id);
    }
    let without = format!(
        "SELECT given.id FROM unnest($1) AS given (id) \
         WHERE NOT EXISTS (SELECT FROM {events} AS stored WHERE stored.session_id = given.id)"
    );
    for row in client.query_typed(&without, &[(&ids, Type::TEXT_ARRAY)]).await? {
        let found = Finding::session_without_events(&events.plain, row.try_get(0)?);
        looked.findings.push(found);
    }
    looked.next = ids
        .get(SESSIONS_AT_ONCE - 1)
        .map(|id| Look::Sessions(Some((*id).to_owned())));
    Ok(looked)
}

/// Looks whether the sessions of events have records.
pub(super) async fn sessions_of_events(
    client: &Client,
    tables: &Tables,
    after: Option<&str>,
) -> Result<Looked, Failure> {
    let found = scan::sessions_of_events(client, tables, after).await?;
    let finding = |id: &String| Finding::events_without_session(&tables.events.plain, id);
    Ok(Looked {
        findings: found.without_record.iter().map(finding).collect(),
        next: found.next.map(|id| Look::SessionsOfEvents(Some(id))),
        rows: found.count as u64,
    })
}
