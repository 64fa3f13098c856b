//! Reads what is to be compacted from what the caller passes.

use napi::bindgen_prelude::Unknown;

use super::arguments;
use super::conditions::{self, conditions, mode};
use super::error::Failure;
use super::fields::Fields;
use super::job;
use crate::store::jobs::compact::{CompactSession, CompactSessions};

/// The arguments of `compactSession`.
pub(super) fn session(id: Unknown<'_>, options: Option<Unknown<'_>>) -> Result<CompactSession, Failure> {
    let session_id = arguments::string("id", id)?;
    let options = Fields::of("options", options)?;
    let [on_progress, signal] = job::FIELDS;
    options.only(&["dryRun", on_progress, signal], "the options of compactSession")?;
    Ok(CompactSession {
        session_id,
        mode: mode(&options)?,
    })
}

/// The argument of `compactSessions`.
pub(super) fn sessions(options: Option<Unknown<'_>>) -> Result<CompactSessions, Failure> {
    let options = Fields::of("options", options)?;
    let [on_progress, signal] = job::FIELDS;
    let [destroyed, idle, labels] = conditions::FIELDS;
    let fields = [destroyed, idle, labels, "dryRun", on_progress, signal];
    options.only(&fields, "the options of compactSessions")?;
    Ok(CompactSessions {
        conditions: conditions(&options)?,
        mode: mode(&options)?,
    })
}
