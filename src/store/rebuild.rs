//! Rebuilding the table of events: its steps, as both backends do them. `jobs/rebuild.rs` asks for them one after another.
//!
//! Rows are copied into a fresh table while others write. What they change meanwhile, triggers put down in a table of changes,
//! by the places of the events. At last those places are copied again, and the tables switched, in one transaction. So until then
//! the old table is as it was, and whoever does the steps may be killed between any two of them.
//!
//! A table of one row says which rebuild is under way, and when it did its last step. One that begins takes the place of one before
//! it, whose next step then fails.

use std::time::Duration;

use super::check::Place;

/// After so long without a step a rebuild is taken for dead: a driver that opens the database removes what it left.
pub const DEAD_AFTER: Duration = Duration::from_secs(60);

/// A step of the rebuild with this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildRequest {
    /// Which rebuild it is of.
    pub id: String,
    /// What is done.
    pub step: RebuildStep,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebuildStep {
    /// Take the place of a rebuild before this one, if there is something of one.
    TakeOver,
    /// Remove some of what is not needed any more, if it is still of this rebuild.
    Clear,
    /// Begin, unless the table is as we make it; or say what of its owner's forbids it.
    Begin,
    /// Copy the events after this place.
    Copy(Option<Place>),
    /// Copy some of what was changed meanwhile.
    CatchUp,
    /// Copy the last of it, if it is little, and put the fresh table in the place of the old one.
    Switch,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// How it went.
    pub outcome: Outcome,
    /// Whether others write to the database.
    pub is_contended: bool,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing more of this kind to do.
    Done,
    /// There is more of this kind to do.
    More,
    /// Somebody else uses the table for long.
    Held,
    /// The table is as we make it.
    Fresh,
    /// Events were copied.
    Copied {
        /// How many.
        events: u64,
        /// The bytes of their JSON text.
        bytes: u64,
        /// The last of them, if there may be others.
        last: Option<Place>,
    },
}
