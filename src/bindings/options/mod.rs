//! Checks the options of a constructor. A wrong one is an error that names it; [`known`] has their names, and [`unknown`] is
//! about all others.
//!
//! Each class has its options in a file of its own; what reads those that both have stands here.

mod known;
pub(super) mod postgres;
pub(super) mod sqlite;
mod unknown;

use std::time::Duration;

use napi::ValueType;
use napi::bindgen_prelude::Unknown;

use super::error::Failure;
use super::fields::Fields;
use crate::store::IndexConflict;
use crate::store::cap::{Cap, Caps};
use crate::store::error::StoreError;
use crate::store::tables::TablePrefix;

/// What a constructor's argument says: what the store is opened with, and what is left for `lib`.
pub(super) struct Parsed<O> {
    pub(super) store: O,
    /// How long `flush` and `close` wait for calls to end.
    pub(super) drain_timeout: Duration,
    /// How long a call takes at least that is told to be slow.
    pub(super) slow: Option<Duration>,
}

/// A minute stores what an agent that streams a thousand updates a second has said in as long.
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// The caller's options. `unknown` says what is wrong with a name, if it is not one of an option.
fn options<'env>(
    path: &'static str,
    options: Option<Unknown<'env>>,
    unknown: impl Fn(&str) -> Option<StoreError>,
) -> Result<Fields<'env>, Failure> {
    let options = Fields::of(path, options)?;
    match options.names()?.iter().find_map(|name| unknown(name)) {
        Some(error) => Err(error.into()),
        None => Ok(options),
    }
}

impl Fields<'_> {
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

    /// How much is kept at most. Nothing given means all.
    fn caps(&self) -> Result<Caps, Failure> {
        let cap = |name| {
            let most = self.whole(name, "a whole number", 1, i32::MAX as u32)?;
            Ok::<_, Failure>(most.and_then(Cap::new))
        };
        Ok(Caps {
            events_per_session: cap("maxEventsPerSession")?,
            sessions: cap("maxSessions")?,
        })
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
            slow: self.milliseconds("slowMs", 0)?,
        })
    }
}
