//! Writes that are a transaction of their own, as SQLite does them, each in a file of its folder. `write` calls it, and has the
//! transaction around it.

mod labels;

use rusqlite::Connection;

use super::tables::Tables;
use crate::store::Answer;
use crate::store::error::StoreError;
use crate::store::single::SingleRequest;

/// Why nothing is done.
pub(super) enum Failure {
    /// SQLite has failed.
    Database(rusqlite::Error),
    /// It must not be done.
    Refused(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(refusal: StoreError) -> Self {
        Self::Refused(refusal)
    }
}

/// Does what was asked for, in the transaction that is open. After a failure it must be rolled back.
pub(super) fn run(connection: &Connection, tables: &Tables, request: &SingleRequest) -> Result<Answer, Failure> {
    match request {
        SingleRequest::SetLabels { session_id, changes } => labels::set(connection, tables, session_id, changes),
    }
}
