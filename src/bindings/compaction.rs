//! Reads what is to be compacted from what the caller passes.

use napi::bindgen_prelude::Unknown;

use super::arguments;
use super::error::Failure;
use super::fields::Fields;
use super::{job, labels};
use crate::store::compaction::Purpose;
use crate::store::find::SessionConditions;
use crate::store::jobs::compact::{CompactSession, CompactSessions};

/// The arguments of `compactSession`.
pub(super) fn session(id: Unknown<'_>, options: Option<Unknown<'_>>) -> Result<CompactSession, Failure> {
    let session_id = arguments::string("id", id)?;
    let options = Fields::of("options", options)?;
    let [on_progress, signal] = job::FIELDS;
    options.only(&["dryRun", on_progress, signal], "the options of compactSession")?;
    Ok(CompactSession {
        session_id,
        purpose: purpose(&options)?,
    })
}

/// The argument of `compactSessions`.
pub(super) fn sessions(options: Option<Unknown<'_>>) -> Result<CompactSessions, Failure> {
    let options = Fields::of("options", options)?;
    let [on_progress, signal] = job::FIELDS;
    let fields = ["destroyedBefore", "idleBefore", "labels", "dryRun", on_progress, signal];
    options.only(&fields, "the options of compactSessions")?;
    Ok(CompactSessions {
        conditions: SessionConditions {
            destroyed_before: options.safe_integer("destroyedBefore")?,
            idle_before: options.safe_integer("idleBefore")?,
            labels: options
                .given("labels")?
                .map(|labels| labels::wanted(&options.name("labels"), labels))
                .transpose()?
                .unwrap_or_default(),
        },
        purpose: purpose(&options)?,
    })
}

fn purpose(options: &Fields<'_>) -> Result<Purpose, Failure> {
    Ok(match options.boolean("dryRun")? {
        Some(true) => Purpose::Count,
        Some(false) | None => Purpose::Store,
    })
}
