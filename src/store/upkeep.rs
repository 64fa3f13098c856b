//! Writes that keep no place in the order of a session: of the database as a whole, or of many sessions that are loaded. With SQLite
//! each is done between two batches, with Postgres beside them.

use std::borrow::Cow;

use super::load::{LoadStep, TakeBack};
use super::operation::{Measured, Operation};
use super::rebuild::RebuildRequest;

/// A write that keeps no place in the order of a session, as it was called.
#[derive(Debug)]
pub enum UpkeepRequest {
    /// Give some of the space that is free back to the file system, where that can be done in steps.
    GiveBack,
    /// Give back what steps cannot, however long that takes.
    Vacuum,
    /// Do a step of a rebuild.
    Rebuild(RebuildRequest),
    /// Load sessions.
    Load(LoadStep),
    /// Remove some of what was loaded of a session.
    TakeBack(TakeBack),
}

impl UpkeepRequest {
    /// The sessions whose events it changes, as far as followers must hear of it.
    #[must_use]
    pub fn sessions_of_events(&self) -> Vec<&str> {
        match self {
            Self::GiveBack | Self::Vacuum | Self::Rebuild(_) => Vec::new(),
            Self::Load(step) => step.session_ids().collect(),
            Self::TakeBack(taking) => vec![&taking.session_id],
        }
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::GiveBack | Self::Vacuum | Self::Rebuild(_) => 0,
            Self::Load(step) => step.text_bytes(),
            Self::TakeBack(taking) => taking.session_id.len(),
        }
    }

    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> &'static str {
        match self {
            Self::GiveBack => "giving free space back from",
            Self::Vacuum => "vacuuming",
            Self::Rebuild(_) => "rebuilding the table of events of",
            Self::Load(_) => "loading sessions into",
            Self::TakeBack(_) => "taking back what was loaded of a session from",
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
