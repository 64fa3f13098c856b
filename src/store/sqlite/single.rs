//! Writes that are a transaction of their own, as SQLite does them, each in a file of its folder. `write` calls it, and has the
//! transaction around it.

mod delete;
mod fork;
mod labels;
mod prune;

pub(super) use labels::set as set_labels;

use rusqlite::Connection;

use super::compaction::Compaction;
use super::tables::Tables;
use super::tombstones::Tombstones;
use crate::store::Answer;
use crate::store::error::StoreError;
use crate::store::single::SingleRequest;

/// Why nothing is done.
pub(super) enum Failure {
    /// SQLite has failed.
    Database(rusqlite::Error),
    /// It must not be done.
    Refused(StoreError),
    /// The session was deleted.
    Deleted,
    /// Rows of this table are there that were to be deleted.
    Kept(String),
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
pub(super) fn run(
    connection: &Connection,
    tables: &Tables,
    tombstones: &Tombstones,
    compaction: &mut Compaction,
    request: &SingleRequest,
) -> Result<Answer, Failure> {
    if let Some(session_id) = request.adds_to()
        && tombstones.has(connection, &mut tombstones.look(connection)?, session_id)?
    {
        return Err(Failure::Deleted);
    }
    match request {
        SingleRequest::DeleteSession { session_id } => delete::delete(connection, tables, session_id),
        SingleRequest::SetLabels { session_id, changes } => labels::set(connection, tables, session_id, changes),
        SingleRequest::Fork(request) => fork::fork(connection, tables, request),
        SingleRequest::Prune(step) => prune::prune(connection, tables, step),
        SingleRequest::Compact(step) => compaction.take(connection, step).map(Answer::OfJob),
    }
}
