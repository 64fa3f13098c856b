//! Work that takes many calls, such as giving space back: a job calls the store for one small thing after another, so that no other
//! call waits for more than one of them. Each job is a file of this folder.
//!
//! A job runs on a thread of its caller's, which it blocks. `bindings` starts one for it.

pub mod check;
pub mod compact;
pub mod copy;
pub mod delete;
pub mod pages;
pub mod prune;
pub mod rebuild;
mod sessions;
mod store;
pub mod survey;
mod turns;
pub mod vacuum;

use compact::FoundMessages;
pub use store::{JobStore, News, NextEvents, Pending, Recipient, deliver_to};

use std::time::Duration;

use serde::Serialize;

use super::ReadRequest;
use super::answer::Answer;
use super::check::Looked;
use super::compaction::StepDone;
use super::error::StoreError;
use super::find::FoundSessions;
use super::load::{Loaded, TakenBack};
use super::prune::Pruned;
use super::rebuild::Rebuilt;
use super::scan::Scanned;
use super::upkeep::UpkeepRequest;
use super::write::WriteRequest;

/// Work that takes many calls.
pub trait Job: Send + 'static {
    /// How far it is.
    type Progress: Serialize;
    /// What it comes back with.
    type Result: Serialize;

    /// Does it. What is done stays done, whatever ends it.
    fn run(&self, store: &dyn Calls<Self::Progress>) -> Result<Self::Result, Ended>;
}

/// What a job may do: call the store, and wait for its answer; and say how far it is, to whoever waits for it.
pub trait Calls<Progress> {
    /// Waits until the database can be used.
    fn ready(&self) -> Result<(), Ended>;
    /// Waits until the store has done the write.
    fn write(&self, request: WriteRequest) -> Result<Answer, Ended>;
    /// Calls for a write, and does something else meanwhile.
    fn begin(&self, request: WriteRequest) -> Result<Pending, Ended>;
    /// Waits for what the store reads.
    fn read(&self, request: ReadRequest) -> Result<Answer, Ended>;
    /// Does what is left to do when the job ends before its work is done, even if nobody wants it to go on.
    fn clean_up(&self, request: UpkeepRequest) -> Result<Answer, Ended>;
    /// Says how far the job is.
    fn progress(&self, so_far: &Progress) -> Result<(), Ended>;
}

/// Why a job ends before its work is done.
#[derive(Debug)]
pub enum Ended {
    /// A call has failed.
    Failed(StoreError),
    /// Nobody wants it to go on.
    Stopped,
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Ended {
    /// The store has answered with something that is no answer to the job's question, which is a mistake of ours.
    #[must_use]
    pub fn unexpected(answer: &Answer) -> Self {
        Self::Failed(StoreError::internal(&format!("a job was answered {answer:?}")))
    }
}

/// What the calls of jobs are answered with, where nobody else asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobAnswer {
    /// A page of sessions that meet conditions.
    Sessions(FoundSessions),
    /// What a step of pruning has removed, or would.
    Pruned(Pruned),
    /// The index of the oldest of a session's newest events; nothing, when there are no older ones.
    OldestOfNewest(Option<i64>),
    /// What came of a step of a rebuild.
    Rebuilt(Box<Rebuilt>),
    /// What a look of a check has found.
    Looked(Box<Looked>),
    /// So much space was given back, and whether there is more.
    Freed {
        /// How many bytes.
        bytes: u64,
        /// Whether another call would give back more.
        is_more: bool,
        /// How long it took, so long as nobody else could write.
        took: Duration,
    },
    /// What came of a step of compaction.
    Compacted(StepDone),
    /// What a copy has read of many sessions.
    Scanned(Scanned),
    /// Messages of a session that begin or end turns.
    Messages(Box<FoundMessages>),
    /// What came of the parts of a step of loading.
    Loaded(Loaded),
    /// What came of taking back some of what was loaded.
    TakenBack(TakenBack),
}

impl JobAnswer {
    /// The same answer of a step that took so long.
    #[must_use]
    pub fn taking(mut self, time: Duration) -> Self {
        match &mut self {
            Self::Pruned(Pruned { took, .. })
            | Self::Freed { took, .. }
            | Self::Compacted(StepDone { took, .. })
            | Self::Loaded(Loaded { took, .. })
            | Self::TakenBack(TakenBack { took, .. }) => {
                *took = time;
            }
            Self::Sessions(_)
            | Self::OldestOfNewest(_)
            | Self::Messages(_)
            | Self::Rebuilt(_)
            | Self::Looked(_)
            | Self::Scanned(_) => {}
        }
        self
    }
}
