//! Checks the options of a constructor. A wrong one is an error that names it; an unknown one names the closest known.

use std::time::Duration;

use napi::bindgen_prelude::{FromNapiValue, Object, Unknown};
use napi::{Env, JsValue, ValueType};
use napi_derive::napi;

use super::arguments::{self, object, read, wrong};
use super::error::Failure;
use crate::store::IndexConflict;
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
pub(super) fn parse(options: Option<Unknown<'_>>) -> Result<SqliteOptions, Failure> {
    let options = Options::of(options)?;
    let filename = options.string("filename")?;
    let location = Location::parse(filename.as_deref().unwrap_or(":memory:"))?;
    let durability = options.choice(
        "durability",
        &[("full", Durability::Full), ("normal", Durability::Normal)],
    )?;
    let index_conflict = options.choice(
        "onEventIndexConflict",
        &[("reassign", IndexConflict::Reassign), ("reject", IndexConflict::Reject)],
    )?;
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
            busy_timeout: options.milliseconds("busyTimeoutMs")?.unwrap_or(Duration::from_secs(5)),
        },
        tables: Tables::with_prefix(options.string("tablePrefix")?.as_deref().unwrap_or(""))?,
        index_conflict: index_conflict.unwrap_or_default(),
    })
}

/// The caller's options object, if there is one.
struct Options<'env>(Option<Object<'env>>);

impl<'env> Options<'env> {
    fn of(options: Option<Unknown<'env>>) -> Result<Self, Failure> {
        let object = options.map(|options| object("options", options)).transpose()?;
        if let Some(object) = &object {
            let given = Object::keys(object).map_err(|_| {
                let error = StoreError::invalid("reading the names of the options threw (see `cause`)");
                Failure::thrown(&Env::from_raw(object.value().env), error)
            })?;
            if let Some(unknown) = given.iter().find(|name| !NAMES.contains(&name.as_str())) {
                return Err(unknown_option(unknown).into());
            }
        }
        Ok(Self(object))
    }

    /// The option's value. Only `undefined` leaves an option out: `null` is wrong, as any other wrong type.
    fn given(&self, name: &str) -> Result<Option<Unknown<'env>>, Failure> {
        let Some(object) = &self.0 else {
            return Ok(None);
        };
        let value = arguments::field(object, name)?;
        Ok(read::<()>(&value, ValueType::Undefined).is_none().then_some(value))
    }

    fn string(&self, name: &str) -> Result<Option<String>, Failure> {
        self.given(name)?
            .map(|value| arguments::string(&format!("options.{name}"), value))
            .transpose()
    }

    fn typed<V: FromNapiValue>(&self, name: &str, wanted: &str, wanted_type: ValueType) -> Result<Option<V>, Failure> {
        self.given(name)?
            .map(|value| read(&value, wanted_type).ok_or_else(|| wrong(&format!("options.{name}"), wanted, &value)))
            .transpose()
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.typed(name, "a boolean", ValueType::Boolean)
    }

    fn milliseconds(&self, name: &str) -> Result<Option<Duration>, Failure> {
        let Some(number) = self.typed::<f64>(name, "a number", ValueType::Number)? else {
            return Ok(None);
        };
        if number.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&number) {
            return Ok(Some(Duration::from_secs_f64(number / 1000.0)));
        }
        Err(StoreError::invalid(format!(
            "options.{name} must be a whole number of milliseconds from 0 to {}, it is {number}",
            i32::MAX
        ))
        .into())
    }

    fn choice<V: Copy>(&self, name: &str, choices: &[(&str, V)]) -> Result<Option<V>, Failure> {
        let Some(given) = self.string(name)? else {
            return Ok(None);
        };
        if let Some((_, value)) = choices.iter().find(|(choice, _)| *choice == given) {
            return Ok(Some(*value));
        }
        let known: Vec<String> = choices.iter().map(|(choice, _)| format!("{choice:?}")).collect();
        Err(StoreError::invalid(format!(
            "options.{name} must be {}, it is {given:?}",
            known.join(" or ")
        ))
        .into())
    }
}

fn unknown_option(given: &str) -> StoreError {
    let likeness = |name: &&str| strsim::normalized_damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase());
    let closest = NAMES.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    StoreError::invalid(format!(
        "options.{given} is not an option; the closest is {}",
        closest.unwrap_or(&NAMES[0])
    ))
}
