//! The one error type of the store. `bindings` turns it into a JavaScript error.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use thiserror::Error;

use super::message::{Message, StoreOption, message};

/// What kind of failure it is; the caller decides by this what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An argument or option is wrong; the same call would fail again.
    InvalidArgument,
    /// The driver is closed.
    Closed,
    /// Another event has the place `(session_id, event_index)`.
    IndexConflict,
    /// The tables are of a version this release cannot use, or need a migration that was not allowed.
    Schema,
    /// There are no tables of ours at all, and making them was not allowed.
    NoTables,
    /// A table has the name of ours and is not ours.
    ForeignTable,
    /// There is no such session, or it was deleted.
    NotFound,
    /// Somebody else holds the write lock, or too many calls wait.
    Busy,
    /// The database did not answer in time.
    Timeout,
    /// The database cannot be reached or opened.
    Unavailable,
    /// The database may only be read.
    Readonly,
    /// The disk or the database is full.
    Full,
    /// The database is damaged, or is none.
    Corrupt,
    /// A mistake of ours.
    Internal,
}

impl ErrorKind {
    /// The `code` of the JavaScript error.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidArgument => "ERR_PERSIST_INVALID_ARGUMENT",
            Self::Closed => "ERR_PERSIST_CLOSED",
            Self::IndexConflict => "ERR_PERSIST_INDEX_CONFLICT",
            Self::Schema | Self::NoTables => "ERR_PERSIST_SCHEMA",
            Self::ForeignTable => "ERR_PERSIST_FOREIGN_TABLE",
            Self::NotFound => "ERR_PERSIST_NOT_FOUND",
            Self::Busy => "ERR_PERSIST_BUSY",
            Self::Timeout => "ERR_PERSIST_TIMEOUT",
            Self::Unavailable => "ERR_PERSIST_UNAVAILABLE",
            Self::Readonly => "ERR_PERSIST_READONLY",
            Self::Full => "ERR_PERSIST_FULL",
            Self::Corrupt => "ERR_PERSIST_CORRUPT",
            Self::Internal => "ERR_PERSIST_INTERNAL",
        }
    }
}

/// What the database itself said: kept beside our message, as `cause` and `sqliteCode` or `sqlState` in JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseError {
    /// The database's own message.
    pub message: String,
    /// Its code for the failure, where it is the database that speaks and not the way to it.
    pub code: Option<DatabaseCode>,
}

/// A database's code for a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseCode {
    /// SQLite's name for it, such as `SQLITE_FULL`.
    Sqlite(&'static str),
    /// The five characters of the SQL standard, such as `53100`.
    SqlState(String),
}

/// What the caller's own code failed with, by the number under which the caller keeps it. The store carries it to those who
/// waited for that code.
#[derive(Clone)]
pub struct CallerFailure(Arc<Kept>);

struct Kept {
    number: u32,
    forget: Box<dyn Fn(u32) + Send + Sync>,
}

impl CallerFailure {
    /// `forget` is called, on whatever thread, when nobody will ask for it any more.
    pub fn new(number: u32, forget: impl Fn(u32) + Send + Sync + 'static) -> Self {
        let forget = Box::new(forget);
        Self(Arc::new(Kept { number, forget }))
    }

    /// The number that it was given.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.number
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        (self.forget)(self.number);
    }
}

impl fmt::Debug for CallerFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CallerFailure({})", self.number())
    }
}

impl PartialEq for CallerFailure {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CallerFailure {}

/// A failed call: its kind, and a message that says what was being done, to what, and what to do now.
///
/// Messages hold names of fields, files and sessions, never a payload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What was being done, to what, and what to do now.
    pub message: Message,
    /// What the database said, where it was the database that failed.
    pub database: Option<DatabaseError>,
    /// What the caller's own code failed with, where that was the reason.
    pub caller: Option<CallerFailure>,
    /// The index that an event was given in place of a taken one, where it is not known whether it is stored there: another
    /// try must begin with it, or it could be stored twice.
    pub reassigned_to: Option<i64>,
}

impl StoreError {
    /// An error that did not come from the database.
    pub fn new(kind: ErrorKind, message: impl Into<Message>) -> Self {
        Self {
            kind,
            message: message.into(),
            database: None,
            caller: None,
            reassigned_to: None,
        }
    }

    /// A wrong argument or option.
    pub fn invalid(message: impl Into<Message>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// Another event has the place, in the words that make the SDK try its next index (docs/sdk-contract.md, 6).
    #[must_use]
    pub fn index_taken(events_table: &str) -> Self {
        Self::new(
            ErrorKind::IndexConflict,
            format!("UNIQUE constraint failed: {events_table}.session_id, {events_table}.event_index"),
        )
    }

    /// An event cannot be given the index after the session's highest, since there is none.
    #[must_use]
    pub fn no_free_index(session_id: &str) -> Self {
        Self::new(
            ErrorKind::IndexConflict,
            format!(
                "session {} has no free index left, since its highest is Number.MAX_SAFE_INTEGER: go on in another session",
                Quoted(session_id)
            ),
        )
    }

    /// A mistake of ours.
    #[must_use]
    pub fn internal(what: &str) -> Self {
        Self::new(
            ErrorKind::Internal,
            format!("{what}: this is a mistake of sandbox-agent-persist; please report it"),
        )
    }

    /// The system has no thread for us.
    #[must_use]
    pub fn no_thread(error: &io::Error) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            format!("starting a thread failed: {error}; close drivers that are not used, or end other programs"),
        )
    }

    /// A write to a database that was opened only to be read.
    #[must_use]
    pub fn only_read(database: &str) -> Self {
        Self::new(
            ErrorKind::Readonly,
            message![
                format!("writing to {database} failed: the driver was opened only to read ("),
                StoreOption::Readonly,
                ")",
            ],
        )
    }

    /// A call after `close`.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the driver is closed: create a new one to go on")
    }
}

/// An id, or another text of the caller's, as messages show it: in quotes, and cut when it is long, since it may have any
/// length.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 200;
        let Self(text) = self;
        match text.char_indices().nth(LONGEST) {
            None => write!(formatter, "{text:?}"),
            Some((end, _)) => write!(formatter, "{:?} (cut, {} bytes)", &text[..end], text.len()),
        }
    }
}

/// Runs `work`, and makes a panic in it an error: a mistake of ours must not leave a promise unsettled.
pub fn catching<R>(doing: &str, work: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(mistake(doing)))
}

/// The same for work that waits.
pub async fn catching_async<R>(
    doing: &str,
    work: impl Future<Output = Result<R, StoreError>>,
) -> Result<R, StoreError> {
    let caught = AssertUnwindSafe(work).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(mistake(doing)))
}

fn mistake(doing: &str) -> StoreError {
    StoreError::new(
        ErrorKind::Internal,
        format!("{doing} failed for a mistake of sandbox-agent-persist; please report what it printed to stderr"),
    )
}
