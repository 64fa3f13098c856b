//! Reads which sessions a job is to work on, and whether that is a dry run.

use super::error::Failure;
use super::fields::Fields;
use super::labels;
use crate::store::find::SessionConditions;
use crate::store::mode::Mode;

/// The fields that say which sessions.
pub(super) const FIELDS: [&str; 3] = ["destroyedBefore", "idleBefore", "labels"];

/// Which sessions these options mean.
pub(super) fn conditions(options: &Fields<'_>) -> Result<SessionConditions, Failure> {
    Ok(SessionConditions {
        destroyed_before: options.safe_integer("destroyedBefore")?,
        idle_before: options.safe_integer("idleBefore")?,
        labels: options
            .given("labels")?
            .map(|labels| labels::wanted(&options.name("labels"), labels))
            .transpose()?
            .unwrap_or_default(),
    })
}

/// Whether they ask for a dry run.
pub(super) fn mode(options: &Fields<'_>) -> Result<Mode, Failure> {
    Ok(Mode::of(options.boolean("dryRun")?.unwrap_or(false)))
}
