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

pub use store::{JobStore, News, NextEvents, OwnedCalls, Owner, Pending, Recipient, deliver_to};

use serde::Serialize;

use super::ReadRequest;
use super::answer::Answer;
use super::error::StoreError;
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
