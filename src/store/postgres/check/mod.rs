//! What a check looks at in a Postgres database. `reader` calls it; each look is one statement or two, and none writes.
//!
//! `server` looks at settings and rights, `structure` at tables and indexes, `rows` at what is stored.

mod rows;
mod server;
mod structure;

use super::database::{Database, Purpose};
use super::error::Failure;
use crate::store::check::{Look, Looked};

/// Looks at one part of the database.
pub(super) async fn look(database: &Database, look: &Look) -> Result<Looked, Failure> {
    let tables = &database.options.tables;
    if *look == Look::Database {
        return server::findings(database).await.map(Into::into);
    }
    // An index may take long to look at, and nobody waits for the connection but reads.
    database
        .run_until_closing(Purpose::Read, async |connection| match look {
            Look::Database | Look::Tables => structure::findings(connection, tables).await.map(Into::into),
            Look::Integrity(number) => structure::integrity(connection, tables, *number).await,
            Look::Unplaced => rows::unplaced(connection, tables).await.map(Into::into),
            Look::Events(after) => rows::events(connection, tables, after.as_ref()).await,
            Look::Sessions(after) => rows::sessions(connection, tables, after.as_deref()).await,
            Look::SessionsOfEvents(after) => rows::sessions_of_events(connection, tables, after.as_deref()).await,
        })
        .await
}
