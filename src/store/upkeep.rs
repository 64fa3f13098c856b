//! Writes that are of no session, but of the database as a whole. With SQLite each is done between two batches, with Postgres
//! beside them.

use std::borrow::Cow;

use super::operation::{Measured, Operation};
use super::rebuild::RebuildRequest;

/// A write that is of no session, as it was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpkeepRequest {
    /// Give some of the space that is free back to the file system, where that can be done in steps.
    GiveBack,
    /// Give back what steps cannot, however long that takes.
    Vacuum,
    /// Do a step of a rebuild.
    Rebuild(RebuildRequest),
}

impl UpkeepRequest {
    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> &'static str {
        match self {
            Self::GiveBack => "giving free space back from",
            Self::Vacuum => "vacuuming",
            Self::Rebuild(_) => "rebuilding the table of events of",
        }
    }
}

impl Measured for UpkeepRequest {
    fn operation(&self) -> Option<Operation> {
        None
    }

    fn session_id(&self) -> Option<Cow<'_, str>> {
        None
    }
}
