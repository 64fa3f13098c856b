//! Whether a job does its work, or only counts what there is to do. Callers ask for either, and `jobs` and their steps heed it.

/// See the module's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Run,
    /// It is counted, and everything stays as it is.
    DryRun,
}

impl Mode {
    /// That of a caller who has asked for a dry run, or has not.
    #[must_use]
    pub fn of(dry_run: bool) -> Self {
        if dry_run { Self::DryRun } else { Self::Run }
    }
}
