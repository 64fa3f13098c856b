//! The statement that removes the oldest events of a session that has more than the cap. `super` sends it.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::store::postgres::error::{Failure, Table};
use crate::store::postgres::statement::{Parameter, setting};
use crate::store::postgres::tables::Tables;

/// See the module's description.
pub(super) struct Statements {
    trim: String,
}

/// What was found of a session's events, and what was done.
pub(super) struct Trimmed {
    /// How many there were: up to the cap, and as many as one statement removes.
    pub(super) counted: i64,
    pub(super) removed: i64,
}

impl Statements {
    pub(super) fn new(Tables { events, .. }: &Tables) -> Self {
        Self {
            // It is a transaction by itself. What others insert meanwhile comes on top, so that at least the cap is left.
            trim: format!(
                "WITH counted AS (SELECT pg_catalog.count(*) AS events FROM \
                   (SELECT 1 FROM {events} WHERE session_id = $1 ORDER BY event_index DESC LIMIT (SELECT {limit})) AS newest), \
                 last AS (SELECT event_index FROM {events} WHERE session_id = $1 ORDER BY event_index \
                   OFFSET (SELECT greatest(events - $3 - 1, 0) FROM counted) \
                   LIMIT (SELECT CASE WHEN events > $3 THEN 1 ELSE 0 END FROM counted)), \
                 removed AS (DELETE FROM {events} WHERE session_id = $1 \
                   AND event_index <= (SELECT event_index FROM last) RETURNING 1) \
                 SELECT events, (SELECT pg_catalog.count(*) FROM removed) FROM counted",
                limit = unsynced("$2", "$4")
            ),
        }
    }

    /// Removes up to `piece` events that are over the cap of `most`.
    pub(super) async fn trim(
        &self,
        client: &Client,
        session_id: &str,
        most: i64,
        piece: i64,
        lock_limit: Duration,
    ) -> Result<Trimmed, Failure> {
        let (counted, limit) = (most + piece, setting(lock_limit));
        let parameters: [Parameter<'_>; 4] = [
            (&session_id, Type::TEXT),
            (&counted, Type::INT8),
            (&most, Type::INT8),
            (&limit, Type::TEXT),
        ];
        let rows = client.query_typed(&self.trim, &parameters).await;
        let rows = rows.map_err(|error| Failure::of_writing(&error, Table::Events))?;
        let row = rows.first().ok_or_else(|| Failure::odd_row("a count is missing"))?;
        Ok(Trimmed {
            counted: row.try_get(0)?,
            removed: row.try_get(1)?,
        })
    }
}

/// A number, in SQL that is evaluated before the first row is locked: it also sets how long the statement waits for locks, to
/// the parameter `limit`, and that its commit waits neither for the disk nor for a standby.
pub(super) fn unsynced(number: &str, limit: &str) -> String {
    format!(
        "CASE WHEN pg_catalog.set_config('lock_timeout', {limit}, true) IS NOT NULL \
         AND pg_catalog.set_config('synchronous_commit', 'off', true) IS NOT NULL THEN {number} END"
    )
}
