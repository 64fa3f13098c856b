//! What can be wrong with a line of a file. No message shows what an event says, nor what is in a record: ids alone.

use thiserror::Error;

use super::input::Unreadable;
use crate::store::error::{Quoted, StoreError};

/// A line that is wrong.
#[derive(Debug, Error)]
#[error("line {number}: {problem}")]
pub(in crate::cli) struct WrongLine {
    /// Which line, from 1.
    pub(in crate::cli) number: u64,
    /// What is wrong.
    pub(in crate::cli) problem: Problem,
}

/// What is wrong with it.
#[derive(Debug, Error)]
pub(in crate::cli) enum Problem {
    #[error(
        "this is no file that `sandbox-agent-persist export` has written: the first line of one is {{\"format\":\"sandbox-agent-persist\",...}}"
    )]
    OtherFormat,
    #[error("version {0} of the format is newer than this release of sandbox-agent-persist: use a newer one")]
    OtherVersion(u64),
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    #[error("the line has more than {bound} bytes: --max-line-bytes allows more")]
    TooLong { bound: usize },
    #[error("byte {0} of the line is not UTF-8")]
    NotUtf8(usize),
    #[error("the line is not JSON, from column {column}")]
    NotJson { column: usize },
    #[error("the line is none of a session, an event and an end")]
    OtherLine,
    #[error(
        "a session must be written {{\"session\":{{...}},\"labels\":{{...}}}}, or {{\"session\":null,\"id\":\"...\"}}"
    )]
    NoSession,
    #[error(
        "an end must be written {{\"end\":{{\"session\":\"...\",\"events\":N,\"sha256\":\"...\"}}}}, or {{\"end\":{{\"sessions\":N,\"events\":N}}}}"
    )]
    NoEnd,
    #[error("{}", .0.message)]
    Refused(StoreError),
    #[error("session {} stands in the file twice", Quoted(.0))]
    SessionTwice(String),
    #[error("session {} has no end: its last lines are missing", Quoted(.0))]
    SessionWithoutEnd(String),
    #[error("an event must stand between the first line of its session and its end")]
    EventOutside,
    #[error("there are two events with index {0}")]
    PlaceTwice(i64),
    #[error("index {index} comes after index {before}: events must stand in ascending order")]
    OutOfOrder { before: i64, index: i64 },
    #[error("the end of session {} stands where none is open", Quoted(.0))]
    EndOutside(String),
    #[error("this is the end of session {}, and session {} is open", Quoted(.found), Quoted(.open))]
    OtherEnd { open: String, found: String },
    #[error("session {} should have {wanted} events, and has {found}: lines are missing, or were added", Quoted(.id))]
    OtherCount { id: String, wanted: u64, found: u64 },
    #[error("the SHA-256 of the lines of session {} is another one: they were changed", Quoted(.0))]
    OtherChecksum(String),
    #[error("there should be {what} {wanted}, and there are {found}: lines are missing, or were added")]
    OtherTotal {
        what: &'static str,
        wanted: u64,
        found: u64,
    },
    #[error("nothing may stand after the end of the file's sessions")]
    AfterEnd,
    #[error("the file was cut off: its end is missing")]
    CutOff,
}

impl Problem {
    /// What is wrong with a line that could not be parsed; `otherwise`, if it is JSON. What serde says of values shows them.
    pub(super) fn of_json(error: &serde_json::Error, otherwise: Self) -> Self {
        if error.is_syntax() || error.is_eof() {
            return Self::NotJson { column: error.column() };
        }
        otherwise
    }

    /// Whether it is useless to look at the lines that follow.
    pub(super) fn ends_reading(&self) -> bool {
        matches!(
            self,
            Self::OtherFormat | Self::OtherVersion(_) | Self::Unreadable(_) | Self::AfterEnd | Self::CutOff
        )
    }
}
