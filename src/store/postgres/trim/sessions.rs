//! The statements that remove the oldest sessions. `super` sends them.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::events::unsynced;
use crate::store::postgres::error::{Failure, Table};
use crate::store::postgres::statement::{Parameter, setting};
use crate::store::postgres::tables::Tables;

/// How many are removed after they were counted once.
pub(super) const MOST_AT_ONCE: i64 = 100;

/// See the module's description.
pub(super) struct Statements {
    oldest: String,
    remove_oldest_events: String,
}

/// What is over the cap.
pub(super) struct Oldest {
    /// How many sessions there are: up to the cap, and as many as are removed at once.
    pub(super) count: i64,
    /// Those that are to go.
    pub(super) session_ids: Vec<String>,
}

impl Statements {
    pub(super) fn new(tables: &Tables) -> Self {
        let Tables { sessions, events, .. } = tables;
        Self {
            oldest: format!(
                "WITH counted AS (SELECT pg_catalog.count(*) AS sessions FROM \
                   (SELECT 1 FROM {sessions} ORDER BY {ORDER} LIMIT (SELECT $1)) AS oldest) \
                 SELECT sessions, ARRAY(SELECT id::pg_catalog.text FROM {sessions} ORDER BY {ORDER} \
                   LIMIT (SELECT greatest(sessions - $2, 0) FROM counted)) FROM counted"
            ),
            remove_oldest_events: format!(
                "WITH piece AS (SELECT event_index FROM {events} WHERE session_id = $1 ORDER BY event_index \
                   LIMIT (SELECT CASE WHEN {is_oldest} THEN {limit} ELSE 0 END)), \
                 removed AS (DELETE FROM {events} WHERE session_id = $1 \
                   AND event_index <= (SELECT pg_catalog.max(event_index) FROM piece) RETURNING 1) \
                 SELECT pg_catalog.count(*) FROM removed",
                is_oldest = is_oldest(tables),
                limit = unsynced("$3", "$4"),
            ),
        }
    }

    /// Counts the sessions, and finds those that are over the cap of `most`.
    pub(super) async fn oldest(&self, client: &Client, most: i64) -> Result<Oldest, Failure> {
        let counted = most + MOST_AT_ONCE;
        let parameters: [Parameter<'_>; 2] = [(&counted, Type::INT8), (&most, Type::INT8)];
        let rows = client.query_typed(&self.oldest, &parameters).await?;
        let row = rows.first().ok_or_else(|| Failure::odd_row("a count is missing"))?;
        Ok(Oldest {
            count: row.try_get(0)?,
            session_ids: row.try_get(1)?,
        })
    }

    /// Removes up to `piece` of the session's events, if it is one of the oldest, and says how many those were.
    pub(super) async fn remove_oldest_events(
        &self,
        client: &Client,
        session_id: &str,
        most: i64,
        piece: i64,
        lock_limit: Duration,
    ) -> Result<i64, Failure> {
        let limit = setting(lock_limit);
        let parameters: [Parameter<'_>; 4] = [
            (&session_id, Type::TEXT),
            (&most, Type::INT8),
            (&piece, Type::INT8),
            (&limit, Type::TEXT),
        ];
        let rows = client.query_typed(&self.remove_oldest_events, &parameters).await;
        let rows = rows.map_err(|error| Failure::of_writing(&error, Table::Events))?;
        let row = rows.first().ok_or_else(|| Failure::odd_row("a count is missing"))?;
        Ok(row.try_get(0)?)
    }
}

/// The order in which sessions are listed, and removed.
const ORDER: &str = "created_at, id COLLATE pg_catalog.\"C\"";

/// Whether the session `$1` has a record, and as many as `$2` records come after it.
pub(in crate::store::postgres) fn is_oldest(Tables { sessions, .. }: &Tables) -> String {
    format!(
        "(SELECT pg_catalog.count(*) FROM (SELECT 1 FROM {sessions} AS newer \
           WHERE (newer.created_at, newer.id COLLATE pg_catalog.\"C\") > \
             (SELECT own.created_at, own.id FROM {sessions} AS own WHERE own.id = $1) \
           LIMIT (SELECT $2)) AS newer) = $2"
    )
}
