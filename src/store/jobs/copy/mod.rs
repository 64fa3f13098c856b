//! Copies sessions from a source into a store, exactly as they are. `copy` and `import` of the command line and `copySessions` do.
//!
//! What the store has of a session already is compared with the source, event by event. As long as it is the same it is gone on
//! with, so that a copy which was ended goes on where it was, and one of a source that has grown since adds what is new. A session
//! that the store has with other events, or with more of them, is left as it is and told of ([`Difference`]).

mod source;

pub use source::{BYTES_AT_ONCE, EVENTS_AT_ONCE, Source, SourceSession};

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::{Calls, Ended, Job};
use crate::store::mode::Mode;

/// How many differences a copy tells of at most; it counts all.
pub const MOST_DIFFERENCES: usize = 1_000;

/// See the module's description.
pub struct Copy {
    source: Mutex<Box<dyn Source>>,
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
    /// Of the events of all sessions that are the same in both now: read from the source as they passed, and from the store after
    /// they were stored. Nothing, where nothing was done.
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
    /// The SHA-256 over their JSON texts, session by session in the order of the source, in hexadecimal digits.
    pub sha256: String,
}

/// A session that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The session's id.
    pub session_id: String,
    /// How it is different.
    pub reason: Reason,
    /// The same in words, and what to do.
    pub message: String,
}

/// How a session of the store is different from the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// It has all events of the source, and others after them.
    HasMore,
    /// At some place it has another event than the source, or none: it went on by itself, or was compacted or pruned.
    OtherEvents,
    /// It has the same events, and another record or other labels, which stay ([`Known::Kept`]).
    OtherRecord,
    /// The store refuses what the source has, as it does for the id of a session that was deleted lately.
    Refused,
    /// What was stored is not what was read back: somebody has changed it meanwhile.
    ChangedMeanwhile,
}

impl Copy {
    /// A copy of all sessions of the source.
    #[must_use]
    pub fn new(source: Box<dyn Source>, options: CopyOptions) -> Self {
        Self {
            source: Mutex::new(source),
            options,
        }
    }
}

impl Job for Copy {
    type Progress = CopyProgress;
    type Result = Copied;

    fn run(&self, store: &dyn Calls<CopyProgress>) -> Result<Copied, Ended> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let mut so_far = CopyProgress::default();
        let mut copied = Copied::default();
        store.ready()?;
        while source.next_session()?.is_some() {
            loop {
                let events = source.next_events()?;
                if events.is_empty() {
                    break;
                }
                so_far.events += events.len() as u64;
                so_far.bytes += events.iter().map(|event| event.len() as u64).sum::<u64>();
                store.progress(&so_far)?;
            }
            so_far.sessions += 1;
        }
        if self.options.mode == Mode::DryRun {
            copied.sessions = so_far.sessions;
        }
        Ok(copied)
    }
}
