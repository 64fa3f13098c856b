//! Writes that are a transaction of their own, as Postgres does them, each in a file of its folder, and under the lock of the session that it changes.
//! `batches` calls it.

mod advice;
mod delete;
mod fork;
mod labels;
mod pace;
mod prune;

pub(super) use advice::{advised, kept};
pub(super) use pace::Pace;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::join;
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::compaction;
use super::connection::Connection;
use super::database::{Database, Purpose};
use super::deadline::Deadline;
use super::error::{Failure, Remedy};
use super::session_lock::lock_session;
use super::statement::{Parameter, begin_writing, limit_locks};
use super::tables::Preparation;
use super::trim;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::single::SingleRequest;
use crate::store::write::WriteResult;
use crate::store::{Answer, JobAnswer};

/// See the module's description.
pub(super) struct Singles {
    database: Rc<Database>,
    preparation: Rc<Preparation>,
    begin: String,
    /// Until when one was tried to which the server never answered, if none has been committed since.
    away_until: Cell<Option<Instant>>,
    pace: Pace,
    compaction_pace: Pace,
}

/// What earlier tries of a write have left.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// What one has done of which it is not known how it ended, so that it may be committed.
    may_be_committed: Option<Done>,
    /// Why the last one failed.
    failure: Option<Failure>,
}

/// What a try has done.
#[derive(Debug, Clone)]
struct Done {
    answer: Answer,
    /// The server's number of its transaction, where the next try must know whether it was committed.
    transaction: Option<String>,
}

impl From<Answer> for Done {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            transaction: None,
        }
    }
}

/// Why nothing is done.
pub(super) enum Undone {
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
            away_until: Cell::new(None),
            pace: Pace::default(),
            compaction_pace: Pace::default(),
        }
    }

    /// The deadline of a write. Those that were called before the server went away must not wait for it one after the other:
    /// they have waited with the first.
    pub(super) fn limited(&self, deadline: Instant, called: Instant) -> Instant {
        let has_waited = |until: &Instant| called + self.database.options.query_timeout <= *until;
        self.away_until
            .get()
            .filter(has_waited)
            .map_or(deadline, |until| deadline.min(until))
    }

    /// Commits a write until the deadline. Nothing comes back if it is to be tried again later, since a row is locked.
    pub(super) async fn commit(
        &self,
        request: &SingleRequest,
        deadline: Instant,
        lock_limit: Duration,
        tried: &RefCell<Tried>,
    ) -> Option<WriteResult> {
        if let Err(error) = self.preparation.done().await {
            return Some(Err(error));
        }
        let session_id = request.changed_session_id();
        // Postgres has no text that holds U+0000.
        if [request.session_id(), session_id].iter().any(|id| id.contains('\0')) {
            return Some(Err(StoreError::invalid(
                "the id of a session must not hold U+0000: Postgres cannot store it",
            )));
        }
        let done = self.transaction(
            Purpose::Write,
            session_id,
            deadline,
            lock_limit,
            async |connection, deadline| {
                let done = self.run(connection, deadline, request, tried).await?;
                let answer = done.answer.clone();
                let before = tried.borrow_mut().may_be_committed.replace(done);
                let committed = connection.batch_execute("COMMIT").await.map_err(Failure::from);
                if matches!(&committed, Err(failure) if failure.is_refusal()) {
                    tried.borrow_mut().may_be_committed = before;
                }
                committed?;
                Ok(answer)
            },
        );
        match done.await {
            Ok(answer) => {
                self.away_until.set(None);
                Some(Ok(answer))
            }
            Err(Undone::Refused(refusal)) => {
                self.away_until.set(None);
                Some(Err(refusal))
            }
            Err(Undone::Failed(failure)) if failure.remedy == Remedy::AnotherTime && Instant::now() < deadline => {
                match request {
                    SingleRequest::Prune(_) => self.pace.note_failure(&failure),
                    SingleRequest::Compact(_) => self.compaction_pace.note_failure(&failure),
                    _ => {}
                }
                tried.borrow_mut().failure = Some(failure);
                None
            }
            Err(Undone::Failed(failure)) => {
                if failure.remedy == Remedy::Reconnect {
                    self.away_until.set(self.away_until.get().max(Some(deadline)));
                }
                // The last try has little time. Why an earlier one failed says more than that this one had not enough of it.
                let earlier = tried.take().failure.filter(|_| failure.kind == ErrorKind::Timeout);
                let failure = earlier.unwrap_or(failure);
                let failure = match request {
                    SingleRequest::DeleteSession { .. } => advised(failure, delete::NOT_DELETED),
                    SingleRequest::Prune(_) => advised(failure, prune::STAYS_REMOVED),
                    SingleRequest::Compact(_) => advised(failure, compaction::NOT_JOINED),
                    SingleRequest::SetLabels { .. } | SingleRequest::Fork(_) => failure,
                };
                let doing = format!("{} {}", request.doing(), self.database.options.target.name());
                Some(Err(failure.into_error(&doing)))
            }
        }
    }

    /// Removes what was written to a session after it was deleted.
    pub(super) async fn remove_late(&self, session_id: &str, lock_limit: Duration) -> Result<bool, Failure> {
        let tables = &self.database.options.tables;
        let deadline = self.database.deadline();
        let removed = self.transaction(
            Purpose::LateWrites,
            session_id,
            deadline,
            lock_limit,
            async |connection, deadline| {
                let found = delete::remove_rows(connection, tables, session_id, deadline).await?;
                connection.batch_execute("COMMIT").await?;
                Ok(found)
            },
        );
        match removed.await {
            Err(Undone::Failed(failure)) => Err(failure),
            Ok(found) => Ok(found),
            Err(Undone::Refused(_)) => Ok(false),
        }
    }

    /// Removes a session if it is still one of the oldest, with `most` others after it.
    pub(super) async fn remove_if_oldest(
        &self,
        session_id: &str,
        most: i64,
        lock_limit: Duration,
    ) -> Result<(), Failure> {
        let tables = &self.database.options.tables;
        let is_oldest = format!("SELECT {}", trim::is_oldest(tables));
        let parameters: [Parameter<'_>; 2] = [(&session_id, Type::TEXT), (&most, Type::INT8)];
        let removed = self.transaction(
            Purpose::Trim,
            session_id,
            self.database.deadline(),
            lock_limit,
            async |connection, deadline| {
                let rows = connection.query_typed(&is_oldest, &parameters).await?;
                if let Some(row) = rows.first()
                    && row.try_get(0)?
                {
                    delete::remove_rows(connection, tables, session_id, deadline).await?;
                }
                Ok(connection.batch_execute("COMMIT").await?)
            },
        );
        match removed.await {
            Err(Undone::Failed(failure)) => Err(failure),
            Ok(()) | Err(Undone::Refused(_)) => Ok(()),
        }
    }

    /// Runs `work`, which commits, in a transaction under the session's lock; tries again what may help.
    async fn transaction<R>(
        &self,
        purpose: Purpose,
        session_id: &str,
        deadline: Instant,
        lock_limit: Duration,
        mut work: impl AsyncFnMut(&Connection, &Deadline) -> Result<R, Undone>,
    ) -> Result<R, Undone> {
        let tables = &self.database.options.tables;
        let done = self
            .database
            .run_in_parts(purpose, deadline, async |connection, deadline| {
                let tried = async {
                    let (began, locked, limited) = join!(
                        connection.batch_execute(&self.begin),
                        lock_session(connection, tables, session_id),
                        limit_locks(connection, lock_limit),
                    );
                    began?;
                    locked?;
                    limited?;
                    work(connection, deadline).await
                };
                let tried = tried.await;
                let is_broken = matches!(&tried, Err(Undone::Failed(failure)) if failure.remedy == Remedy::Reconnect);
                if tried.is_err() && !is_broken {
                    connection.batch_execute("ROLLBACK").await?;
                }
                match tried {
                    Ok(done) => Ok(Ok(done)),
                    Err(Undone::Refused(refusal)) => Ok(Err(Undone::Refused(refusal))),
                    Err(Undone::Failed(failure)) => Err(failure),
                }
            });
        done.await?
    }

    /// Does what was asked for, in the transaction that is open.
    async fn run(
        &self,
        connection: &Connection,
        deadline: &Deadline,
        request: &SingleRequest,
        tried: &RefCell<Tried>,
    ) -> Result<Done, Undone> {
        let tables = &self.database.options.tables;
        let before = tried.borrow().may_be_committed.clone();
        match request {
            SingleRequest::SetLabels { session_id, changes } => {
                Ok(labels::set(connection, tables, session_id, changes).await?.into())
            }
            SingleRequest::DeleteSession { session_id } => {
                let found = delete::delete(connection, tables, session_id, deadline).await?;
                // An earlier try may have deleted it, and then it has found what this one does not.
                let was_found = before.is_some_and(|before| before.answer == Answer::Deleted(true));
                Ok(Answer::Deleted(found || was_found).into())
            }
            SingleRequest::Fork(request) => fork::fork(connection, tables, request, deadline, before.as_ref()).await,
            SingleRequest::Prune(step) => prune::prune(connection, tables, step, &self.pace, before.as_ref()).await,
            SingleRequest::Compact(step) => {
                // What an earlier try has joined this one would not find.
                if let Some(before) = before
                    && was_committed(connection, &before).await?
                {
                    return Ok(before);
                }
                let compaction::Taken { done, transaction } =
                    compaction::take(connection, tables, step, &self.compaction_pace).await?;
                Ok(Done {
                    answer: Answer::OfJob(JobAnswer::Compacted(done)),
                    transaction,
                })
            }
        }
    }
}

/// The server's number of the transaction that is open, for [`was_committed`].
const CURRENT_TRANSACTION: &str = "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text";

/// Whether the server has committed what an earlier try has done. It has ended, since it no longer holds the lock of
/// the session.
async fn was_committed(client: &Client, before: &Done) -> Result<bool, Failure> {
    let Some(transaction) = &before.transaction else {
        return Ok(false);
    };
    // A server that took over may not have come as far. It may also not have heard of a standby that was to have what is
    // committed: the message, which nobody reads, has this transaction's `COMMIT` wait for that.
    let sql = "SELECT CASE WHEN $1::pg_catalog.text::pg_catalog.xid8 < \
               pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) \
               THEN pg_catalog.pg_xact_status($1::pg_catalog.text::pg_catalog.xid8) END, \
               pg_catalog.pg_logical_emit_message(true, 'sandbox-agent-persist', ''::pg_catalog.text)";
    let rows = client.query_typed(sql, &[(transaction, Type::TEXT)]).await?;
    let status: Option<&str> = rows.first().map_or(Ok(None), |row| row.try_get(0))?;
    Ok(status == Some("committed"))
}
