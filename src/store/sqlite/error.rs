//! SQLite's failures as [`StoreError`]s: which kind each is, and what to do about it.

use std::borrow::Cow;

use rusqlite::ffi;

use crate::store::error::{DatabaseCode, DatabaseError, ErrorKind, StoreError};

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

/// What SQLite said while `doing`, such as `reading the events of session "a" from /data/a.db`.
pub(super) fn store_error(doing: &str, error: &rusqlite::Error) -> StoreError {
    let (kind, sqlite_code, advice) = describe(error);
    StoreError {
        kind,
        message: format!("{doing} failed: {advice}"),
        database: Some(DatabaseError {
            message: error.to_string(),
            code: Some(DatabaseCode::Sqlite(sqlite_code)),
        }),
        caller: None,
        moved_to: None,
    }
}

fn describe(error: &rusqlite::Error) -> (ErrorKind, &'static str, Cow<'static, str>) {
    let Some(failure) = error.sqlite_error() else {
        return describe_row(error);
    };
    let (kind, sqlite_code, advice) = match failure.extended_code & 0xff {
        ffi::SQLITE_BUSY => (
            ErrorKind::Busy,
            "SQLITE_BUSY",
            "another process held the database's lock for longer than `busyTimeoutMs`; nothing was stored, try again",
        ),
        ffi::SQLITE_LOCKED => (
            ErrorKind::Busy,
            "SQLITE_LOCKED",
            "another connection held the table's lock for longer than `busyTimeoutMs`; nothing was stored, try again",
        ),
        ffi::SQLITE_READONLY => (
            ErrorKind::Readonly,
            "SQLITE_READONLY",
            "the database can only be read; check the rights of the file and of its directory",
        ),
        ffi::SQLITE_FULL => (
            ErrorKind::Full,
            "SQLITE_FULL",
            "the disk (or the 1 GiB of a database in memory) is full; nothing was stored, make room and try again",
        ),
        ffi::SQLITE_CORRUPT => (
            ErrorKind::Corrupt,
            "SQLITE_CORRUPT",
            "the database is damaged; restore a backup, or save what can be saved with `sqlite3 FILE .recover`",
        ),
        ffi::SQLITE_NOTADB => (
            ErrorKind::Corrupt,
            "SQLITE_NOTADB",
            "the file is not an SQLite database; check `filename`",
        ),
        ffi::SQLITE_CANTOPEN => (
            ErrorKind::Unavailable,
            "SQLITE_CANTOPEN",
            "the file cannot be opened; check that its directory exists and that this process may write there",
        ),
        ffi::SQLITE_IOERR => (
            ErrorKind::Unavailable,
            "SQLITE_IOERR",
            "the disk reported an error; check the disk and its file system",
        ),
        ffi::SQLITE_PERM => (ErrorKind::Unavailable, "SQLITE_PERM", "access was denied"),
        ffi::SQLITE_AUTH => (ErrorKind::Unavailable, "SQLITE_AUTH", "access was denied"),
        ffi::SQLITE_PROTOCOL => (
            ErrorKind::Busy,
            "SQLITE_PROTOCOL",
            "too many processes opened the database at once; try again",
        ),
        ffi::SQLITE_TOOBIG => (
            ErrorKind::InvalidArgument,
            "SQLITE_TOOBIG",
            "the value is larger than SQLite stores in one row (1,000,000,000 bytes)",
        ),
        ffi::SQLITE_CONSTRAINT => (
            ErrorKind::InvalidArgument,
            "SQLITE_CONSTRAINT",
            "a rule of the table forbids it: an adopted table can hold an event's id only once, and may have rules of its own",
        ),
        ffi::SQLITE_NOMEM => (ErrorKind::Internal, "SQLITE_NOMEM", "memory ran out"),
        ffi::SQLITE_SCHEMA => (
            ErrorKind::Schema,
            "SQLITE_SCHEMA",
            "the tables were changed meanwhile; try again",
        ),
        _ => (
            ErrorKind::Internal,
            "SQLITE_ERROR",
            "SQLite refused the statement; the tables may have been changed by another program, else please report it",
        ),
    };
    (kind, sqlite_code, Cow::Borrowed(advice))
}

/// A failure of reading a column, not of SQLite: another program wrote something into the row that cannot be ours.
fn describe_row(error: &rusqlite::Error) -> (ErrorKind, &'static str, Cow<'static, str>) {
    let what = match error {
        rusqlite::Error::InvalidColumnType(_, name, found) => {
            format!("column {name} holds a value of type {found}")
        }
        rusqlite::Error::FromSqlConversionFailure(_, _, cause) => cause.to_string(),
        rusqlite::Error::Utf8Error(..) => String::from("a column holds text that is not UTF-8"),
        _ => {
            return (
                ErrorKind::Internal,
                "SQLITE_ERROR",
                Cow::Borrowed("SQLite answered what no statement of ours expects; please report it"),
            );
        }
    };
    (
        ErrorKind::Corrupt,
        "SQLITE_MISMATCH",
        Cow::Owned(format!(
            "in one row {what}, which another program must have written; mend or delete the row"
        )),
    )
}
