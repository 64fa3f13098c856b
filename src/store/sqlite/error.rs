//! SQLite's failures as [`StoreError`]s: which kind each is, and what to do about it.

use std::io;

use rusqlite::ffi;

use crate::store::error::{DatabaseCode, DatabaseError, ErrorKind, StoreError};
use crate::store::message::{Message, StoreOption, message};

/// Whether somebody else's lock is in the way, so that trying again may help.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ffi::ErrorCode::DatabaseBusy
                | ffi::ErrorCode::DatabaseLocked
                // Many processes at the write-ahead log's first opening.
                | ffi::ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// What kind of failure it is when a file cannot be created or written.
pub(super) fn kind_of_file_error(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Readonly,
        _ => ErrorKind::Unavailable,
    }
}

/// What SQLite said while `doing`, such as `reading the events of session "a" from /data/a.db`.
pub(super) fn store_error(doing: &str, error: &rusqlite::Error) -> StoreError {
    let (kind, sqlite_code, advice) = describe(error);
    StoreError {
        kind,
        message: message![doing.to_owned(), " failed: ", advice],
        database: Some(DatabaseError {
            message: error.to_string(),
            code: Some(DatabaseCode::Sqlite(sqlite_code)),
        }),
        caller: None,
        reassigned_to: None,
    }
}

fn describe(error: &rusqlite::Error) -> (ErrorKind, &'static str, Message) {
    let Some(failure) = error.sqlite_error() else {
        return describe_row(error);
    };
    let meaning = |kind, sqlite_code, advice: &'static str| (kind, sqlite_code, Message::from(advice));
    match failure.extended_code & 0xff {
        ffi::SQLITE_BUSY => (
            ErrorKind::Busy,
            "SQLITE_BUSY",
            message![
                "another process held the database's lock for longer than ",
                StoreOption::BusyTimeout,
                "; nothing was stored, try again",
            ],
        ),
        ffi::SQLITE_LOCKED => (
            ErrorKind::Busy,
            "SQLITE_LOCKED",
            message![
                "another connection held the table's lock for longer than ",
                StoreOption::BusyTimeout,
                "; nothing was stored, try again",
            ],
        ),
        ffi::SQLITE_READONLY => meaning(
            ErrorKind::Readonly,
            "SQLITE_READONLY",
            "the database can only be read; check the rights of the file and of its directory",
        ),
        ffi::SQLITE_FULL => meaning(
            ErrorKind::Full,
            "SQLITE_FULL",
            "the disk (or the 1 GiB of a database in memory) is full; nothing was stored, make room and try again",
        ),
        ffi::SQLITE_CORRUPT => meaning(
            ErrorKind::Corrupt,
            "SQLITE_CORRUPT",
            "the database is damaged; restore a backup, or save what can be saved with `sqlite3 FILE .recover`",
        ),
        ffi::SQLITE_NOTADB => (
            ErrorKind::Corrupt,
            "SQLITE_NOTADB",
            message!["the file is not an SQLite database; check ", StoreOption::Filename],
        ),
        ffi::SQLITE_CANTOPEN => meaning(
            ErrorKind::Unavailable,
            "SQLITE_CANTOPEN",
            "the file cannot be opened; check that its directory exists and that this process may write there",
        ),
        ffi::SQLITE_IOERR => meaning(
            ErrorKind::Unavailable,
            "SQLITE_IOERR",
            "the disk reported an error; check the disk and its file system",
        ),
        ffi::SQLITE_PERM => meaning(ErrorKind::Unavailable, "SQLITE_PERM", "access was denied"),
        ffi::SQLITE_AUTH => meaning(ErrorKind::Unavailable, "SQLITE_AUTH", "access was denied"),
        ffi::SQLITE_PROTOCOL => meaning(
            ErrorKind::Busy,
            "SQLITE_PROTOCOL",
            "too many processes opened the database at once; try again",
        ),
        ffi::SQLITE_TOOBIG => meaning(
            ErrorKind::InvalidArgument,
            "SQLITE_TOOBIG",
            "the value is larger than SQLite stores in one row (1,000,000,000 bytes)",
        ),
        ffi::SQLITE_CONSTRAINT => meaning(
            ErrorKind::InvalidArgument,
            "SQLITE_CONSTRAINT",
            "a rule of the table forbids it: an adopted table can hold an event's id only once, and may have rules of its own",
        ),
        ffi::SQLITE_NOMEM => meaning(ErrorKind::Internal, "SQLITE_NOMEM", "memory ran out"),
        ffi::SQLITE_SCHEMA => meaning(
            ErrorKind::Schema,
            "SQLITE_SCHEMA",
            "the tables were changed meanwhile; try again",
        ),
        _ => meaning(
            ErrorKind::Internal,
            "SQLITE_ERROR",
            "SQLite refused the statement; the tables may have been changed by another program, else please report it",
        ),
    }
}

/// A failure of reading a column, not of SQLite: another program wrote something into the row that cannot be ours.
fn describe_row(error: &rusqlite::Error) -> (ErrorKind, &'static str, Message) {
    let Some(what) = row_problem(error) else {
        return (
            ErrorKind::Internal,
            "SQLITE_ERROR",
            "SQLite answered what no statement of ours expects; please report it".into(),
        );
    };
    (
        ErrorKind::Corrupt,
        "SQLITE_MISMATCH",
        format!("in one row {what}, which another program must have written; mend or delete the row").into(),
    )
}

/// Why a row cannot be read, if it is the row that is to blame.
pub(super) fn row_problem(error: &rusqlite::Error) -> Option<String> {
    match error {
        rusqlite::Error::InvalidColumnType(_, name, found) => {
            Some(format!("column {name} holds a value of type {found}"))
        }
        rusqlite::Error::FromSqlConversionFailure(_, _, cause) => Some(cause.to_string()),
        rusqlite::Error::Utf8Error(..) => Some(String::from("a column holds text that is not UTF-8")),
        _ => None,
    }
}

/// Whether the file is damaged.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ffi::ErrorCode::DatabaseCorrupt)
}
