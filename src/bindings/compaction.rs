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
    options.only(&[&["dryRun"][..], &job::FIELDS].concat(), "compactSession")?;
    Ok(CompactSession {
        session_id,
        mode: mode(&options)?,
    })
}

/// The argument of `compactSessions`.
pub(super) fn sessions(options: Option<Unknown<'_>>) -> Result<CompactSessions, Failure> {
    let options = Fields::of("options", options)?;
    let known = [&conditions::FIELDS[..], &["dryRun"], &job::FIELDS].concat();
    options.only(&known, "compactSessions")?;
    Ok(CompactSessions {
        conditions: conditions(&options)?,
        mode: mode(&options)?,
    })
}
