//! The options of `SQLiteSessionPersistDriver`.

use std::time::Duration;

use napi::bindgen_prelude::Unknown;
use napi_derive::napi;

use super::Options;
use crate::bindings::error::Failure;
use crate::store::error::StoreError;
use crate::store::sqlite::{Access, Durability, Location, SqliteOptions, Tables, Target};

/// The options of `SQLiteSessionPersistDriver`. All may be left out.
#[napi(
    object,
    js_name = "SQLiteSessionPersistDriverOptions",
    object_from_js = false,
    object_to_js = false
)]
#[allow(dead_code)] // it exists for its TypeScript declaration; `parse` reads the object itself, to name what is wrong
pub struct SQLiteSessionPersistDriverOptions {
    /// The database file; it is created when there is none, with mode 0600. A relative path is taken from the directory
    /// that the process is in when the driver is made. `":memory:"` keeps everything in memory, until `close`; it goes with
    /// neither `readonly: true` nor `migrate: false`. URIs and the empty string are refused.
    ///
    /// @default ":memory:"
    pub filename: Option<String>,
    /// When a write's promise resolves. `"full"`: once the write survives a power cut. `"normal"`: once it survives the
    /// end of the process; a power cut may take the last writes, and never damages the file.
    ///
    /// @default "full"
    #[napi(ts_type = "'full' | 'normal'")]
    pub durability: Option<String>,
    /// How long, in milliseconds, a call waits for the lock of another process before it rejects with
    /// `ERR_PERSIST_BUSY`. An integer from 0 to 2147483647.
    ///
    /// @default 5000
    pub busy_timeout_ms: Option<u32>,
    /// Opens a file that exists, for reading only: writes reject with `ERR_PERSIST_READONLY`, and no table is created or
    /// changed.
    ///
    /// @default false
    pub readonly: Option<bool>,
    /// Whether to create the file and its tables, and to bring older tables up to date. With `false` they must be ready:
    /// calls reject with `ERR_PERSIST_UNAVAILABLE` when there is no file, and with `ERR_PERSIST_SCHEMA` and a list of what
    /// is missing when the tables are not ready.
    ///
    /// @default true
    pub migrate: Option<bool>,
    /// What the names of the tables, `sessions` and `events`, begin with: at most 40 letters, digits and underscores, not
    /// beginning with a digit or with `sqlite_`.
    ///
    /// @default ""
    pub table_prefix: Option<String>,
    /// What happens to an event whose place in its session is taken by another event. `"reassign"`: it is stored at the
    /// index after the session's highest, and its `eventIndex` is set to that before the promise resolves. `"reject"`: the
    /// promise rejects with `ERR_PERSIST_INDEX_CONFLICT` and a message that makes the SDK try its next index.
    ///
    /// @default "reassign"
    #[napi(ts_type = "'reassign' | 'reject'")]
    pub on_event_index_conflict: Option<String>,
}

const NAMES: [&str; 7] = [
    "filename",
    "durability",
    "busyTimeoutMs",
    "readonly",
    "migrate",
    "tablePrefix",
    "onEventIndexConflict",
];

/// Reads the constructor's argument.
pub(in crate::bindings) fn parse(options: Option<Unknown<'_>>) -> Result<SqliteOptions, Failure> {
    let options = Options::of("options", options, |given| super::unknown("options", given, &NAMES))?;
    let filename = options.string("filename")?;
    let location = Location::parse(filename.as_deref().unwrap_or(":memory:"))?;
    let durability = options.choice(
        "durability",
        &[("full", Durability::Full), ("normal", Durability::Normal)],
    )?;
    let index_conflict = options.index_conflict()?;
    let access = match (
        options.boolean("readonly")?.unwrap_or(false),
        options.boolean("migrate")?.unwrap_or(true),
    ) {
        (true, _) => Access::Read,
        (false, true) => Access::Migrate,
        (false, false) => Access::Write,
    };
    if matches!(location, Location::Memory(_)) && access != Access::Migrate {
        return Err(StoreError::invalid(
            "options.filename must be a file when `readonly` is true or `migrate` is false: a database in memory begins empty",
        )
        .into());
    }
    Ok(SqliteOptions {
        target: Target {
            location,
            access,
            durability: durability.unwrap_or_default(),
            busy_timeout: options
                .milliseconds("busyTimeoutMs", 0)?
                .unwrap_or(Duration::from_secs(5)),
        },
        tables: Tables::with_prefix(options.table_prefix()?),
        index_conflict,
    })
}
