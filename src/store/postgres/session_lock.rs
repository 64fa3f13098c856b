//! The advisory lock of a session: whoever must know what is stored of it, and then writes, holds it. `place` and `single` take it.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::statement::Parameter;
use super::tables::Tables;

/// Not the whole table's: each session has a number of its own.
const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))";

/// Waits for whoever holds it, and holds it until the end of the transaction, which takes no other.
pub(super) async fn lock_session(
    client: &Client,
    tables: &Tables,
    session_id: &str,
) -> Result<(), tokio_postgres::Error> {
    let name = format!("{} {session_id}", tables.events);
    let parameters: [Parameter<'_>; 1] = [(&name, Type::TEXT)];
    client.query_typed(LOCK, &parameters).await.map(drop)
}
