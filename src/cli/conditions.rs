//! Which sessions `prune` and `compact` work on: the conditions of `pruneSessions` and `compactSessions`, as flags.

use super::failure::Failure;
use super::filters::{by_name, label};
use super::time;
use crate::store::find::SessionConditions;
use crate::store::labels::check_wanted;

/// Sessions that meet all that is given.
#[derive(Debug, clap::Args)]
pub(super) struct Conditions {
    /// Only sessions destroyed before this: 2026-01-31, 2026-01-31T12:00:00 (UTC), or so long ago: 30d, 12h
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    destroyed_before: Option<i64>,

    /// Only sessions that were created before this, and whose newest event was
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    idle_before: Option<i64>,

    /// Only sessions with this label; several may be given, and sessions have all of them
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
}

impl Conditions {
    /// The conditions, as jobs take them.
    pub(super) fn conditions(&self) -> Result<SessionConditions, Failure> {
        check_wanted(self.labels.len())?;
        Ok(SessionConditions {
            destroyed_before: self.destroyed_before,
            idle_before: self.idle_before,
            labels: by_name(&self.labels)?,
        })
    }
}
