//! What followers ask the server: whether anybody has committed anything, which events there are, and which sessions are
//! deleted. `follow` asks.

use std::pin::pin;
use std::slice;
use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};

use crate::store::deleted::oldest;
use crate::store::follow::{Ask, Events, MAX_EVENTS};
use crate::store::postgres::connection::Connection;
use crate::store::postgres::error::Failure;
use crate::store::postgres::list::EVENT_COLUMNS;
use crate::store::postgres::read::event_of;
use crate::store::postgres::tables::Tables;

/// How many bytes one ask is meant to bring.
const BYTES_OF_ONE: usize = 1 << 20;

/// The same for all asks of a query.
const BYTES_OF_ALL: usize = 8 << 20;

/// As long as the transactions that a statement sees are the same, so is everything that it finds, as long as it is the same
/// server. A standby does not know in which order its primary's transactions end, but how far it has come itself.
const STATE: &str = "SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_postmaster_start_time(), \
     pg_catalog.pg_current_snapshot(), CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() END)";

/// What changes whenever anything is committed on the server. None if it cannot say.
pub(super) async fn state(connection: &Connection) -> Result<Option<String>, Failure> {
    match connection.query_typed(STATE, &[]).await {
        Ok(rows) => Ok(rows.first().and_then(|row| row.try_get(0).ok())),
        // Some that are like Postgres lack one of the functions.
        Err(error) => match Failure::from(error) {
            failure if failure.is_refusal() && !failure.may_pass() => Ok(None),
            failure => Err(failure),
        },
    }
}

/// How many bytes an event takes, as seen so far. It decides how much is asked for at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventSize(usize);

impl Default for EventSize {
    fn default() -> Self {
        Self(1 << 10)
    }
}

impl EventSize {
    /// How many asks go into one query: all of them, unless events are large.
    fn asks(self) -> usize {
        (BYTES_OF_ALL / 2 / self.0).max(1)
    }

    /// How many events each of so many asks gets.
    fn limit(self, asks: usize) -> u32 {
        let of_one = (BYTES_OF_ALL / asks.max(1)).min(BYTES_OF_ONE);
        u32::try_from(of_one / self.0).map_or(MAX_EVENTS, |limit| limit.clamp(1, MAX_EVENTS))
    }

    fn learn(&mut self, bytes: usize, events: usize) {
        if let Some(size) = bytes.checked_div(events) {
            self.0 = usize::midpoint(self.0, size).max(1);
        }
    }
}

/// Answers the asks, as a rule with one query. A row that no event can be made of fails the ask that it belongs to, unless
/// there are events before it.
pub(super) async fn events(
    connection: &Connection,
    tables: &Tables,
    asks: &[Ask],
    size: &mut EventSize,
) -> Result<Vec<Result<Events, Failure>>, Failure> {
    let mut answers = Vec::with_capacity(asks.len());
    while let Some(rest) = asks.get(answers.len()..).filter(|rest| !rest.is_empty()) {
        let some = &rest[..size.asks().min(rest.len())];
        answers.extend(query(connection, tables, some, size).await?);
    }
    Ok(answers)
}

async fn query(
    connection: &Connection,
    tables: &Tables,
    asks: &[Ask],
    size: &mut EventSize,
) -> Result<Vec<Result<Events, Failure>>, Failure> {
    // The planner cannot know a limit that is a column, and so follows the index (see `read::events`).
    let sql = format!(
        "SELECT event.*, ask.number FROM unnest($1, $2, $3, $4) WITH ORDINALITY \
         AS ask (session_id, after, before, wanted, number) CROSS JOIN LATERAL (SELECT {} FROM {} \
         WHERE session_id = ask.session_id AND event_index > ask.after AND event_index < ask.before \
         ORDER BY event_index LIMIT ask.wanted) AS event",
        *EVENT_COLUMNS, tables.events
    );
    let limit = size.limit(asks.len());
    let sessions: Vec<&str> = asks.iter().map(|ask| &*ask.session_id).collect();
    let after: Vec<i64> = asks.iter().map(|ask| ask.after).collect();
    let before: Vec<i64> = asks.iter().map(|ask| ask.before.unwrap_or(i64::MAX)).collect();
    // One more shows whether there are others.
    let wanted = vec![i64::from(limit) + 1; asks.len()];
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&sessions, Type::TEXT_ARRAY),
        (&after, Type::INT8_ARRAY),
        (&before, Type::INT8_ARRAY),
        (&wanted, Type::INT8_ARRAY),
    ];
    let mut rows = pin!(connection.query_typed_raw(&sql, parameters).await?);
    let mut answers: Vec<_> = asks.iter().map(|_| Ok(Events::with_limit(limit))).collect();
    let (mut bytes, mut count, mut too_many_bytes) = (0, 0, 2 * BYTES_OF_ALL);
    while let Some(row) = rows.try_next().await? {
        let number: i64 = row.try_get("number")?;
        let place = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let Some((ask, answer)) = asks.get(place).zip(answers.get_mut(place)) else {
            continue;
        };
        bytes += row.raw_size_bytes();
        count += 1;
        if bytes > too_many_bytes {
            // Should this take longer than a try may, the next one asks for less.
            size.learn(bytes, count);
            too_many_bytes *= 2;
        }
        if let Ok(events) = answer {
            match event_of(&row, &ask.session_id) {
                Ok(event) => drop(events.push(&event)),
                Err(_) if events.end_early() => {}
                Err(failure) => *answer = Err(failure),
            }
        }
    }
    size.learn(bytes, count);
    Ok(answers)
}

/// Which of these sessions are deleted.
pub(super) async fn deleted(
    connection: &Connection,
    tables: &Tables,
    sessions: &[Arc<str>],
) -> Result<Vec<String>, Failure> {
    match deleted_among(connection, tables, sessions).await {
        // An id that the database's encoding does not have is the id of nothing in it.
        Err(failure) if failure.is_about_our_text() => {
            let mut deleted = Vec::new();
            for session in sessions {
                match deleted_among(connection, tables, slice::from_ref(session)).await {
                    Err(failure) if failure.is_about_our_text() => {}
                    found => deleted.extend(found?),
                }
            }
            Ok(deleted)
        }
        found => found,
    }
}

async fn deleted_among(
    connection: &Connection,
    tables: &Tables,
    sessions: &[Arc<str>],
) -> Result<Vec<String>, Failure> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT id FROM {} WHERE id = ANY ($1) AND deleted_at > $2",
        tables.deleted
    );
    let sessions: Vec<&str> = sessions.iter().map(|session| &**session).collect();
    let rows = connection
        .query_typed(&sql, &[(&sessions, Type::TEXT_ARRAY), (&oldest(), Type::INT8)])
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
