//! The options of `SQLiteSessionPersistDriver`.

use napi::bindgen_prelude::Unknown;

use super::Parsed;
use super::known::{POSTGRES, SQLITE};
use crate::bindings::error::Failure;
use crate::store::access::Access;
use crate::store::error::StoreError;
use crate::store::sqlite::{Checkpoints, Durability, Location, SqliteOptions, Tables, Target};

/// Reads the constructor's argument.
pub(in crate::bindings) fn parse(options: Option<Unknown<'_>>) -> Result<Parsed<SqliteOptions>, Failure> {
    let options = super::options("options", options, |given| {
        SQLITE.refuse("options", given, Some(&POSTGRES))
    })?;
    let filename = options.string("filename")?;
    let location = Location::parse(filename.as_deref().unwrap_or(Location::MEMORY))?;
    let durability = options.choice(
        "durability",
        &[("full", Durability::Full), ("normal", Durability::Normal)],
    )?;
    let checkpoints = options.choice(
        "checkpoints",
        &[
            ("automatic", Checkpoints::Automatic),
            ("external", Checkpoints::External),
        ],
    )?;
    let index_conflict = options.index_conflict()?;
    let caps = options.caps()?;
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
    let defaults = Target::new(location);
    let store = SqliteOptions {
        target: Target {
            access,
            durability: durability.unwrap_or(defaults.durability),
            busy_timeout: options
                .milliseconds("busyTimeoutMs", 0)?
                .unwrap_or(defaults.busy_timeout),
            checkpoints: checkpoints.unwrap_or(defaults.checkpoints),
            ..defaults
        },
        tables: Tables::with_prefix(&options.table_prefix()?),
        index_conflict,
        caps,
    };
    options.parsed(store)
}
