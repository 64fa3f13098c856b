//! Checks the options of a constructor. A wrong one is an error that names it; [`unknown`] is about unknown ones.
//!
//! Each class has its options in a file of its own; what reads them from a JavaScript object stands here.

mod names;
pub(super) mod postgres;
pub(super) mod sqlite;
mod unknown;

use std::time::Duration;

use napi::bindgen_prelude::{FromNapiValue, Object, Unknown};
use napi::{Env, JsValue, ValueType};

pub(super) use self::names::name;
use super::arguments::{self, object, read, wrong};
use super::error::Failure;
use crate::store::IndexConflict;
use crate::store::error::{Quoted, StoreError};
use crate::store::tables::TablePrefix;

/// The caller's options object, if there is one.
struct Options<'env> {
    /// What messages call it.
    path: &'static str,
    object: Option<Object<'env>>,
}

/// What a constructor's argument says: what the store is opened with, and what is left for `lib`.
pub(super) struct Parsed<O> {
    pub(super) store: O,
    /// How long `flush` and `close` wait for calls to end.
    pub(super) drain_timeout: Duration,
}

/// A minute stores what an agent that streams a thousand updates a second has said in as long.
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

impl<'env> Options<'env> {
    /// The argument of a constructor. `unknown` says what is wrong with a name, if it is not one of an option.
    fn of(
        path: &'static str,
        options: Option<Unknown<'env>>,
        unknown: impl Fn(&str) -> Option<StoreError>,
    ) -> Result<Self, Failure> {
        let object = options.map(|options| object(path, options)).transpose()?;
        if let Some(object) = &object {
            let given = Object::keys(object).map_err(|_| {
                let error = StoreError::invalid(format!("reading the names of {path} threw (see `cause`)"));
                Failure::thrown(&Env::from_raw(object.value().env), error)
            })?;
            if let Some(error) = given.iter().find_map(|name| unknown(name)) {
                return Err(error.into());
            }
        }
        Ok(Self { path, object })
    }

    fn name(&self, option: &str) -> String {
        format!("{}.{option}", self.path)
    }

    /// The option's value. Only `undefined` leaves an option out: `null` is wrong, as any other wrong type.
    fn given(&self, name: &str) -> Result<Option<Unknown<'env>>, Failure> {
        let Some(object) = &self.object else {
            return Ok(None);
        };
        let value = arguments::field(object, name)?;
        Ok(read::<()>(&value, ValueType::Undefined).is_none().then_some(value))
    }

    fn string(&self, name: &str) -> Result<Option<String>, Failure> {
        self.given(name)?
            .map(|value| arguments::string(&self.name(name), value))
            .transpose()
    }

    fn typed<V: FromNapiValue>(&self, name: &str, wanted: &str, wanted_type: ValueType) -> Result<Option<V>, Failure> {
        self.given(name)?
            .map(|value| read(&value, wanted_type).ok_or_else(|| wrong(&self.name(name), wanted, &value)))
            .transpose()
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.typed(name, "a boolean", ValueType::Boolean)
    }

    fn milliseconds(&self, name: &str, at_least: u32) -> Result<Option<Duration>, Failure> {
        let milliseconds = self.whole(name, "a whole number of milliseconds", at_least, i32::MAX as u32)?;
        Ok(milliseconds.map(|milliseconds| Duration::from_millis(milliseconds.into())))
    }

    /// A whole number from `at_least` to `at_most`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // both limits are those of a u32
    fn whole(&self, name: &str, wanted: &str, at_least: u32, at_most: u32) -> Result<Option<u32>, Failure> {
        let Some(number) = self.typed::<f64>(name, "a number", ValueType::Number)? else {
            return Ok(None);
        };
        if number.fract() == 0.0 && (f64::from(at_least)..=f64::from(at_most)).contains(&number) {
            return Ok(Some(number as u32));
        }
        Err(StoreError::invalid(format!(
            "{} must be {wanted} from {at_least} to {at_most}, it is {number}",
            self.name(name)
        ))
        .into())
    }

    fn index_conflict(&self) -> Result<IndexConflict, Failure> {
        let choices = [("reassign", IndexConflict::Reassign), ("reject", IndexConflict::Reject)];
        Ok(self.choice("onEventIndexConflict", &choices)?.unwrap_or_default())
    }

    fn table_prefix(&self) -> Result<TablePrefix, Failure> {
        let prefix = self.string("tablePrefix")?;
        Ok(TablePrefix::parse(prefix.as_deref().unwrap_or(""))?)
    }

    /// What the store is opened with, and the options that both drivers have beside it.
    fn parsed<O>(&self, store: O) -> Result<Parsed<O>, Failure> {
        Ok(Parsed {
            store,
            drain_timeout: self.milliseconds("drainTimeoutMs", 0)?.unwrap_or(DEFAULT_DRAIN_TIMEOUT),
        })
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
            "{} must be {}, it is {}",
            self.name(name),
            known.join(" or "),
            Quoted(&given)
        ))
        .into())
    }
}
