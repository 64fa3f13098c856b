//! The advisory locks of sessions: whoever must know what is stored of a session, and then writes, holds its lock. `place` and
//! `single` take them.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::statement::Parameter;
use super::tables::Tables;

/// Not the whole table's: each session has a number of its own.
const LOCK: &str = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(name, 0)) FROM pg_catalog.unnest($1) AS given (name)";

/// Waits for the others who hold them, and holds them until the end of the transaction. They are taken in this order: it must
/// be the same for all who take several.
pub(super) async fn lock_sessions(
    client: &Client,
    tables: &Tables,
    session_ids: &[&str],
) -> Result<(), tokio_postgres::Error> {
    let names: Vec<String> = session_ids.iter().map(|id| format!("{} {id}", tables.events)).collect();
    let parameters: [Parameter<'_>; 1] = [(&names, Type::TEXT_ARRAY)];
    client.query_typed(LOCK, &parameters).await.map(drop)
}
