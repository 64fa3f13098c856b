//! The statements that write: their SQL, and rows as the columns that are their parameters. `write` and `place` run them.
//!
//! Each is sent without a name and in one message with its parameters: a pooler between us and the server gives every
//! transaction another connection, where a statement prepared before would not be known.
//!
//! Names of types and functions have their schema, in all statements of this backend: a `search_path` may have others of
//! those names in front. `unnest` alone cannot have it: Postgres knows the one of several arrays by its bare name, and takes
//! its own.

use std::error::Error;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut};

use super::error::{Failure, Table};
use super::tables::Tables;
use crate::store::model::{SessionEvent, SessionRecord};
use crate::store::tables::columns::{EVENTS, SESSIONS, names, replacements};

/// Begins a transaction. Each statement sees what was committed before it, whatever the database's default is: what is
/// read after waiting for a lock must be what is there now. A transaction whose client has gone silent is ended by the
/// server after `silence`, so that its locks keep nobody out for longer.
pub(super) fn begin(silence: Duration) -> String {
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = {}",
        silence.as_millis().clamp(100, 60_000)
    )
}

/// The same for a write that is tried for `query_timeout`: the silence ends soon enough for another try.
pub(super) fn begin_writing(query_timeout: Duration) -> String {
    begin((query_timeout / 8).min(Duration::from_secs(5)))
}

/// Sets how long the transaction waits for locks on rows.
pub(super) async fn limit_locks(client: &Client, limit: Duration) -> Result<(), Failure> {
    let limit = setting(limit);
    let parameters: [Parameter<'_>; 1] = [(&limit, Type::TEXT)];
    let sql = "SELECT pg_catalog.set_config('lock_timeout', $1, true)";
    client.query_typed(sql, &parameters).await?;
    Ok(())
}

/// The first parameter of a statement, in SQL that also sets how long locks on rows are waited for: by this statement, and by
/// those that follow it in its transaction. The parameter with number `limit` says how long.
///
/// The server evaluates it once, before the first row. So a statement that is a transaction by itself needs no other one
/// before it. A lock on a whole table is waited for earlier, and without this limit. A subquery would cost three times as much.
fn first_limiting_locks(limit: usize) -> String {
    format!("CASE WHEN pg_catalog.set_config('lock_timeout', ${limit}, true) IS NOT NULL THEN $1 END")
}

/// A duration as the server's settings take it.
pub(super) fn setting(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

/// A parameter and its type.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// An event, and the index that it is to be stored at.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlacedEvent<'a> {
    pub(super) event: &'a SessionEvent<'a>,
    pub(super) index: i64,
}

/// What came of replacing events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    /// They are as they were given.
    All,
    /// Somebody has deleted one meanwhile.
    Deleted,
    /// One is there and was not changed: a trigger or rule of the table's owner ignored the statement.
    Swallowed,
}

/// The SQL for one driver's tables.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) begin: String,
    /// A session's highest index, and the events at some of its places. One row at least, for the highest index.
    pub(super) places: String,
    taken_sessions: String,
    insert_one_event: String,
    insert_events: String,
    replace_events: String,
    update_sessions: String,
}

impl Statements {
    pub(super) fn new(tables: &Tables, query_timeout: Duration) -> Self {
        let (sessions, events) = (&tables.sessions, &tables.events);
        let event_columns = names(&EVENTS);
        let insert = format!("INSERT INTO {events} ({event_columns})");
        let rows = format!("unnest({}, $2, $3, $4, $5, $6, $7, $8)", first_limiting_locks(9));
        Self {
            begin: begin_writing(query_timeout),
            places: format!(
                "SELECT highest.index, stored.event_index::bigint, stored.id \
                 FROM (SELECT pg_catalog.max(event_index)::bigint AS index FROM {events} WHERE session_id = $1) AS highest \
                 LEFT JOIN {events} AS stored ON stored.session_id = $1 AND stored.event_index = ANY ($2)"
            ),
            taken_sessions: format!(
                "SELECT DISTINCT given.session_id FROM unnest($1, $2) AS given (session_id, event_index) \
                 JOIN {events} AS stored ON stored.session_id = given.session_id AND stored.event_index = given.event_index"
            ),
            // Half as dear to plan as the one for many, which a session alone feels.
            insert_one_event: format!(
                "{insert} VALUES ({}, $2, $3, $4, $5, $6, $7, $8)",
                first_limiting_locks(9)
            ),
            insert_events: format!("{insert} SELECT * FROM {rows}"),
            // Rows that are as they should be are left alone: no trigger sees a retry. They may be there without the standby
            // that their commit was to wait for. A transaction waits for it, and for all that was committed before, if it has
            // an id and has written to the log: the message, which nobody reads, does both and needs no right.
            replace_events: format!(
                "WITH given ({event_columns}) AS (\
                   SELECT * FROM {rows}), \
                 present AS (SELECT {same} AS same FROM given JOIN {events} AS stored ON {place}), \
                 changed AS (UPDATE {events} AS stored SET {replaced} FROM given WHERE {place} AND NOT {same} RETURNING 1) \
                 SELECT (SELECT pg_catalog.count(*) FROM present), \
                   (SELECT pg_catalog.count(*) FROM present WHERE same) + (SELECT pg_catalog.count(*) FROM changed), \
                   pg_catalog.pg_logical_emit_message(true, 'sandbox-agent-persist', ''::pg_catalog.text)",
                replaced = replacements(&EVENTS, "given"),
                place = "stored.session_id = given.session_id AND stored.event_index = given.event_index AND stored.id = given.id",
                same = "(stored.created_at, stored.connection_id, stored.sender, stored.payload_json::pg_catalog.text, \
                        stored.extra_json::pg_catalog.text) IS NOT DISTINCT FROM (given.created_at, given.connection_id, given.sender, \
                        given.payload_json::pg_catalog.text, given.extra_json::pg_catalog.text)"
            ),
            update_sessions: format!(
                "INSERT INTO {sessions} ({columns}) \
                 SELECT * FROM unnest({ids}, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                 ON CONFLICT (id) DO UPDATE SET {replaced}",
                columns = names(&SESSIONS),
                replaced = replacements(&SESSIONS, "excluded"),
                ids = first_limiting_locks(12)
            ),
        }
    }

    /// The sessions of those events whose places are taken.
    pub(super) async fn taken_sessions(
        &self,
        client: &Client,
        events: &[PlacedEvent<'_>],
    ) -> Result<Vec<String>, Failure> {
        let session_ids: Vec<&str> = events.iter().map(|placed| &*placed.event.session_id).collect();
        let indexes: Vec<i64> = events.iter().map(|placed| placed.index).collect();
        let parameters: [Parameter<'_>; 2] = [(&session_ids, Type::TEXT_ARRAY), (&indexes, Type::INT8_ARRAY)];
        let rows = client.query_typed(&self.taken_sessions, &parameters).await;
        let rows = rows.map_err(|error| Failure::of_writing(&error, Table::Events))?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Inserts events; fails when a place is taken.
    pub(super) async fn insert_events(
        &self,
        client: &Client,
        events: &[PlacedEvent<'_>],
        lock_limit: Duration,
    ) -> Result<u64, Failure> {
        if events.is_empty() {
            return Ok(0);
        }
        let limit = setting(lock_limit);
        if let [PlacedEvent { event, index }] = events {
            let payload = Json(&event.payload);
            let extra = event.extra.as_deref().map(Json);
            let parameters: [Parameter<'_>; 9] = [
                (&event.id, Type::TEXT),
                (index, Type::INT8),
                (&event.session_id, Type::TEXT),
                (&event.created_at, Type::INT8),
                (&event.connection_id, Type::TEXT),
                (&event.sender, Type::TEXT),
                (&payload, Type::JSON),
                (&extra, Type::JSON),
                (&limit, Type::TEXT),
            ];
            let inserted = client.execute_typed(&self.insert_one_event, &parameters).await;
            return inserted.map_err(|error| Failure::of_writing(&error, Table::Events));
        }
        let columns = EventColumns::of(events);
        let inserted = client
            .execute_typed(&self.insert_events, &columns.parameters(&limit))
            .await;
        inserted.map_err(|error| Failure::of_writing(&error, Table::Events))
    }

    /// Replaces events that are stored at their places already.
    pub(super) async fn replace_events(
        &self,
        client: &Client,
        events: &[PlacedEvent<'_>],
        lock_limit: Duration,
    ) -> Result<Replaced, Failure> {
        if events.is_empty() {
            return Ok(Replaced::All);
        }
        let limit = setting(lock_limit);
        let columns = EventColumns::of(events);
        let rows = client
            .query_typed(&self.replace_events, &columns.parameters(&limit))
            .await;
        let rows = rows.map_err(|error| Failure::of_writing(&error, Table::Events))?;
        let count = |column: usize| match rows.first() {
            Some(row) => row.try_get::<_, i64>(column),
            None => Ok(0),
        };
        let (present, as_given) = (count(0)?, count(1)?);
        let wanted = i64::try_from(events.len()).unwrap_or(i64::MAX);
        Ok(match () {
            () if as_given == wanted => Replaced::All,
            () if present < wanted => Replaced::Deleted,
            () => Replaced::Swallowed,
        })
    }

    /// Inserts sessions, or replaces those of the same ids. No id may be among them twice.
    pub(super) async fn update_sessions(
        &self,
        client: &Client,
        records: &[&SessionRecord<'_>],
        lock_limit: Duration,
    ) -> Result<u64, Failure> {
        if records.is_empty() {
            return Ok(0);
        }
        let limit = setting(lock_limit);
        let ids: Vec<&str> = records.iter().map(|record| &*record.id).collect();
        let agents: Vec<&str> = records.iter().map(|record| &*record.agent).collect();
        let agent_session_ids: Vec<&str> = records.iter().map(|record| &*record.agent_session_id).collect();
        let connection_ids: Vec<&str> = records.iter().map(|record| &*record.last_connection_id).collect();
        let created: Vec<i64> = records.iter().map(|record| record.created_at).collect();
        let destroyed: Vec<Option<i64>> = records.iter().map(|record| record.destroyed_at).collect();
        let sandbox_ids: Vec<Option<&str>> = records.iter().map(|record| record.sandbox_id.as_deref()).collect();
        let inits = json_column(records, |record| record.session_init.as_deref());
        let config_options = json_column(records, |record| record.config_options.as_deref());
        let modes = json_column(records, |record| record.modes.as_deref());
        let extras = json_column(records, |record| record.extra.as_deref());
        let parameters: [Parameter<'_>; 12] = [
            (&ids, Type::TEXT_ARRAY),
            (&agents, Type::TEXT_ARRAY),
            (&agent_session_ids, Type::TEXT_ARRAY),
            (&connection_ids, Type::TEXT_ARRAY),
            (&created, Type::INT8_ARRAY),
            (&destroyed, Type::INT8_ARRAY),
            (&sandbox_ids, Type::TEXT_ARRAY),
            (&inits, Type::JSON_ARRAY),
            (&config_options, Type::JSON_ARRAY),
            (&modes, Type::JSON_ARRAY),
            (&extras, Type::JSON_ARRAY),
            (&limit, Type::TEXT),
        ];
        let updated = client.execute_typed(&self.update_sessions, &parameters).await;
        updated.map_err(|error| Failure::of_writing(&error, Table::Sessions))
    }
}

/// Events, column by column.
struct EventColumns<'a> {
    ids: Vec<&'a str>,
    indexes: Vec<i64>,
    session_ids: Vec<&'a str>,
    created: Vec<i64>,
    connection_ids: Vec<&'a str>,
    senders: Vec<&'a str>,
    payloads: Vec<Json<'a>>,
    extras: Vec<Option<Json<'a>>>,
}

impl<'a> EventColumns<'a> {
    fn of(events: &[PlacedEvent<'a>]) -> Self {
        Self {
            ids: events.iter().map(|placed| &*placed.event.id).collect(),
            indexes: events.iter().map(|placed| placed.index).collect(),
            session_ids: events.iter().map(|placed| &*placed.event.session_id).collect(),
            created: events.iter().map(|placed| placed.event.created_at).collect(),
            connection_ids: events.iter().map(|placed| &*placed.event.connection_id).collect(),
            senders: events.iter().map(|placed| &*placed.event.sender).collect(),
            payloads: events.iter().map(|placed| Json(&placed.event.payload)).collect(),
            extras: json_column(events, |placed| placed.event.extra.as_deref()),
        }
    }

    /// The columns, and the limit of [`first_limiting_locks`].
    fn parameters<'p>(&'p self, limit: &'p String) -> [Parameter<'p>; 9] {
        [
            (&self.ids, Type::TEXT_ARRAY),
            (&self.indexes, Type::INT8_ARRAY),
            (&self.session_ids, Type::TEXT_ARRAY),
            (&self.created, Type::INT8_ARRAY),
            (&self.connection_ids, Type::TEXT_ARRAY),
            (&self.senders, Type::TEXT_ARRAY),
            (&self.payloads, Type::JSON_ARRAY),
            (&self.extras, Type::JSON_ARRAY),
            (limit, Type::TEXT),
        ]
    }
}

fn json_column<'a, R>(rows: &[R], text: impl Fn(&R) -> Option<&'a str>) -> Vec<Option<Json<'a>>> {
    rows.iter().map(|row| text(row).map(Json)).collect()
}

/// JSON text as a parameter of type `json`, which the server keeps as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json<'a>(pub(super) &'a str);

impl ToSql for Json<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql(&Type::TEXT, out)
    }

    fn accepts(data_type: &Type) -> bool {
        *data_type == Type::JSON
    }

    tokio_postgres::types::to_sql_checked!();
}
