//! How a store over Postgres is opened, and what counts where the caller says nothing.

use std::time::Duration;

use super::login::Target;
use super::tables::Tables;
use crate::store::IndexConflict;
use crate::store::access::Access;
use crate::store::cap::Caps;

/// How a store is opened.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where the database is, and how to log in.
    pub target: Target,
    /// What its tables are called.
    pub tables: Tables,
    /// What may be done with it.
    pub access: Access,
    /// What to do with an event whose place is taken.
    pub index_conflict: IndexConflict,
    /// How much is kept at most.
    pub caps: Caps,
    /// How many connections there are at most; at least 2.
    pub max_connections: u32,
    /// How long a call waits for a connection that others use.
    pub acquire_timeout: Duration,
    /// How long a call is worked on, with all its tries.
    pub query_timeout: Duration,
    /// How long a connection is kept that nobody uses; always, if none.
    pub idle_timeout: Option<Duration>,
    /// How long a connection is kept at all; always, if none.
    pub max_lifetime: Option<Duration>,
}

impl PostgresOptions {
    /// The defaults for this database.
    #[must_use]
    pub fn new(target: Target, tables: Tables) -> Self {
        Self {
            target,
            tables,
            access: Access::Migrate,
            index_conflict: IndexConflict::default(),
            caps: Caps::default(),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_secs(30),
            idle_timeout: Some(Duration::from_secs(60)),
            max_lifetime: Some(Duration::from_secs(30 * 60)),
        }
    }
}
