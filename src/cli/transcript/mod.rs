//! Transcripts: what the events of a session say, as people read it. `show` and `tail` print them.
//!
//! [`Transcript`] takes events one by one and makes entries of them (`entries`, and `updates` for what agents stream): pieces of one
//! message are joined, and what comes later of a tool call goes into its entry. `envelope` reads the JSON-RPC message that an event is,
//! and `content` what people see of the blocks in it. [`Printer`] prints entries that are whole, and [`Live`] prints them as they grow.
//! [`last()`] finds the last ones of a session.
//!
//! The messages are those of ACP, the Agent Client Protocol, as of version 1. Whatever else there is becomes one line.

mod content;
mod entries;
mod entry;
mod envelope;
mod last;
mod live;
mod print;
mod settings;
mod updates;

pub(super) use entries::Transcript;
pub(super) use entry::Entry;
pub(super) use last::{Last, last};
pub(super) use live::Live;
pub(super) use print::{Length, Printer};
