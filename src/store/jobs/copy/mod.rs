//! Copies sessions from a source into a store, exactly as they are. `copy` and `import` of the command line and `copySessions` do.
//!
//! What the store has of a session already is compared with the source, event by event. As long as it is the same it is gone on
//! with, so that a copy which was ended goes on where it was, and one of a source that has grown since adds what is new. A session
//! that the store has with other events, or with more of them, is left as it is and told of ([`Difference`]). So is one that is changed in
//! the source while it is read.

mod checksum;
mod compare;
mod difference;
mod loading;
mod packs;
mod source;
mod store;
mod target;

pub use difference::{Difference, Reason};
pub use source::{BYTES_AT_ONCE, EVENTS_AT_ONCE, NoEvents, Source, SourceSession};
pub use store::{Selection, StoreSource, first_absent, identity};

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use self::compare::Comparison;
use self::loading::Loading;
use self::packs::Packs;
use super::{Calls, Ended, Job};
use crate::store::error::StoreError;
use crate::store::mode::Mode;

/// How many differences a copy tells of at most; it counts all.
pub const MOST_DIFFERENCES: usize = 1_000;

/// See the module's description.
pub struct Copy {
    /// Until it is run: it is read once.
    source: Mutex<Option<Box<dyn Source>>>,
    options: CopyOptions,
}

/// How to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyOptions {
    /// Whether it is done, or only counted.
    pub mode: Mode,
    /// What becomes of a record or labels that are others than the source's, in a session whose events are the same.
    pub known: Known,
}

/// What becomes of what the store has already, where a session has the same events and another record or other labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The source's take their place: it leads.
    Replaced,
    /// They stay, and are told of.
    Kept,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyProgress {
    /// How many sessions of the source are dealt with: copied, unchanged or different.
    pub sessions: u64,
    /// How many events of the source were read.
    pub events: u64,
    /// How many bytes of JSON text these are.
    pub bytes: u64,
    /// How many sessions are different.
    pub different: u64,
}

/// What was copied, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Copied {
    /// How many sessions have something now that they did not have before.
    pub sessions: u64,
    /// How many events were stored.
    pub events: u64,
    /// How many bytes of JSON text these are.
    pub bytes: u64,
    /// How many sessions were as in the source already.
    pub unchanged: u64,
    /// How many were left as they are, since they are different.
    pub different: u64,
    /// Which these are, and how; the first [`MOST_DIFFERENCES`] of them.
    pub differences: Vec<Difference>,
    /// Of the sessions that are the same in both now: their events were read from the source as they passed, and from the store again
    /// where they were stored. Nothing, where nothing was to be done.
    pub checksum: Option<Checksum>,
}

/// What was compared at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checksum {
    /// How many sessions.
    pub sessions: u64,
    /// How many events.
    pub events: u64,
    /// The SHA-256 over the checksums of the sessions in the order of the source, in hexadecimal digits. That of a session is the
    /// SHA-256 over the JSON texts of its events, each with a line feed after it.
    pub sha256: String,
}

impl Copy {
    /// A copy of all sessions of the source.
    #[must_use]
    pub fn new(source: Box<dyn Source>, options: CopyOptions) -> Self {
        Self {
            source: Mutex::new(Some(source)),
            options,
        }
    }
}

impl Job for Copy {
    type Progress = CopyProgress;
    type Result = Copied;

    fn run(&self, store: &dyn Calls<CopyProgress>) -> Result<Copied, Ended> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
        let source = source.ok_or_else(|| StoreError::internal("a copy was run twice"))?;
        store.ready()?;
        let mut loading = Loading::default();
        let copied = self.all_of(store, Packs::of(source)?, &mut loading);
        if copied.is_err() {
            // Where not even that can be done, the next copy goes on there.
            let _ = loading.give_up(store);
        }
        copied
    }
}

impl Copy {
    fn all_of(
        &self,
        store: &dyn Calls<CopyProgress>,
        mut packs: Packs,
        loading: &mut Loading,
    ) -> Result<Copied, Ended> {
        let CopyOptions { mode, known } = self.options;
        let mut comparison = Comparison::new(known);
        let mut so_far = CopyProgress::default();
        while let Some(pack) = packs.next(|| store.ready())? {
            so_far.events += pack.size.events as u64;
            so_far.bytes += pack.size.bytes as u64;
            so_far.sessions += pack.pieces.iter().filter(|piece| piece.end.is_some()).count() as u64;
            let is_large = pack.size.is_large();
            let compared = comparison.compare(store, pack)?;
            match mode {
                Mode::Run if is_large => loading.load_alone(store, compared)?,
                Mode::Run => loading.load(store, compared)?,
                Mode::DryRun => loading.count(compared),
            }
            so_far.different = loading.different();
            store.progress(&so_far)?;
        }
        let (mut copied, sessions) = loading.finish(store)?;
        if mode == Mode::Run {
            copied.checksum = Some(sessions.checksum());
        }
        Ok(copied)
    }
}
