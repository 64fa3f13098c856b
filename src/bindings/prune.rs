//! Reads what `pruneSessions` is asked for.

use napi::bindgen_prelude::Unknown;

use super::conditions::{self, conditions, mode};
use super::error::Failure;
use super::fields::Fields;
use super::job;
use crate::store::error::StoreError;
use crate::store::jobs::prune::{Kept, Prune};

pub(super) fn job(options: Option<Unknown<'_>>) -> Result<Prune, Failure> {
    let fields = Fields::of("options", options)?;
    let conditions = conditions(&fields)?;
    let kept = match fields.safe_integer("keepLastEvents")? {
        None => Kept::Nothing,
        Some(count) if count > 0 => Kept::Newest(count),
        Some(count) => {
            return Err(StoreError::invalid(format!(
                "{} must be at least 1, it is {count}: a session that stays keeps its newest event, from whose index it goes on \
                 (leave the field out to remove whole sessions)",
                fields.name("keepLastEvents")
            ))
            .into());
        }
    };
    let mode = mode(&fields)?;
    let known = [&conditions::FIELDS[..], &["keepLastEvents", "dryRun"], &job::FIELDS].concat();
    fields.only(&known, "pruneSessions")?;
    let job = Prune::new(conditions, kept, mode).ok_or_else(|| {
        StoreError::invalid(format!(
            "pruneSessions needs a condition, or it would remove every session: give {}, {} or {} ({} says what stays, and is none)",
            fields.name("destroyedBefore"),
            fields.name("idleBefore"),
            fields.name("labels"),
            fields.name("keepLastEvents"),
        ))
    })?;
    Ok(job)
}
