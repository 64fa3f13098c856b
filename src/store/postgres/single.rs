//! Writes that are a transaction of their own, as Postgres does them, each in a file of its folder, and under its session's lock.
//! `batches` calls it.

mod labels;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::join;
use tokio::time::Instant;

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Remedy};
use super::session_lock::lock_session;
use super::statement::{begin_writing, limit_locks};
use super::tables::Preparation;
use crate::store::Answer;
use crate::store::commit::WriteResult;
use crate::store::error::StoreError;
use crate::store::single::SingleRequest;

/// See the module's description.
pub(super) struct Singles {
    database: Rc<Database>,
    preparation: Rc<Preparation>,
    begin: String,
}

/// Why nothing is done.
enum Undone {
    /// Postgres has failed, or the way to it.
    Failed(Failure),
    /// It must not be done.
    Refused(StoreError),
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<tokio_postgres::Error> for Undone {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Undone {
    fn from(refusal: StoreError) -> Self {
        Self::Refused(refusal)
    }
}

impl Singles {
    pub(super) fn new(database: Rc<Database>, preparation: Rc<Preparation>) -> Self {
        Self {
            begin: begin_writing(database.options.query_timeout),
            database,
            preparation,
        }
    }

    /// Commits a write until the deadline. Nothing comes back if it is to be tried again later, since a row is locked.
    /// `may_be_committed` remembers from one try to the next whether one may have committed it.
    pub(super) async fn commit(
        &self,
        request: &SingleRequest,
        deadline: Instant,
        lock_limit: Duration,
        may_be_committed: &Cell<bool>,
    ) -> Option<WriteResult> {
        if let Err(error) = self.preparation.done().await {
            return Some(Err(error));
        }
        // Postgres has no text that holds U+0000.
        if request.session_id().contains('\0') {
            return Some(Err(StoreError::invalid(
                "sessionId must not hold U+0000: Postgres cannot store it",
            )));
        }
        let done = self.database.run(Purpose::Write, deadline, async |connection| {
            let tried = self.try_commit(connection, request, lock_limit, may_be_committed).await;
            let is_broken = matches!(&tried, Err(Undone::Failed(failure)) if failure.remedy == Remedy::Reconnect);
            if tried.is_err() && !is_broken {
                connection.batch_execute("ROLLBACK").await?;
            }
            match tried {
                Ok(answer) => Ok(Ok(answer)),
                Err(Undone::Refused(refusal)) => Ok(Err(refusal)),
                Err(Undone::Failed(failure)) => Err(failure),
            }
        });
        match done.await {
            Ok(result) => Some(result),
            Err(failure) if failure.remedy == Remedy::AnotherTime && Instant::now() < deadline => None,
            Err(failure) => {
                let doing = format!("{} {}", request.doing(), self.database.options.target.name());
                Some(Err(failure.into_error(&doing)))
            }
        }
    }

    async fn try_commit(
        &self,
        connection: &Connection,
        request: &SingleRequest,
        lock_limit: Duration,
        may_be_committed: &Cell<bool>,
    ) -> Result<Answer, Undone> {
        let tables = &self.database.options.tables;
        let (began, locked, limited) = join!(
            connection.batch_execute(&self.begin),
            lock_session(connection, tables, request.session_id()),
            limit_locks(connection, lock_limit),
        );
        began?;
        locked?;
        limited?;
        let answer = match request {
            SingleRequest::SetLabels { session_id, changes } => {
                labels::set(connection, tables, session_id, changes).await?
            }
        };
        let was_committed = may_be_committed.replace(true);
        let committed = connection.batch_execute("COMMIT").await.map_err(Failure::from);
        if matches!(&committed, Err(failure) if failure.is_refusal()) {
            may_be_committed.set(was_committed);
        }
        committed?;
        Ok(answer)
    }
}
