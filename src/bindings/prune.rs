//! Reads what `pruneSessions` is asked for.

use napi::bindgen_prelude::Unknown;

use super::error::Failure;
use super::fields::Fields;
use super::{job, labels};
use crate::store::error::StoreError;
use crate::store::find::SessionConditions;
use crate::store::jobs::prune::{Kept, Mode, Prune};

const FIELDS: [&str; 7] = [
    "destroyedBefore",
    "idleBefore",
    "labels",
    "keepLastEvents",
    "dryRun",
    job::FIELDS[0],
    job::FIELDS[1],
];

pub(super) fn job(options: Option<Unknown<'_>>) -> Result<Prune, Failure> {
    let fields = Fields::of("options", options)?;
    let conditions = SessionConditions {
        destroyed_before: fields.safe_integer("destroyedBefore")?,
        idle_before: fields.safe_integer("idleBefore")?,
        labels: fields
            .given("labels")?
            .map(|labels| labels::wanted(&fields.name("labels"), labels))
            .transpose()?
            .unwrap_or_default(),
    };
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
    let mode = if fields.boolean("dryRun")?.unwrap_or_default() {
        Mode::Count
    } else {
        Mode::Remove
    };
    fields.only(&FIELDS, "pruneSessions")?;
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
