//! The store: sessions and events on disk, in plain Rust. `bindings` calls it; it calls nobody.
//!
//! What every backend shares stands in this folder: the records ([`model`]), pages and cursors ([`page`]), errors
//! ([`error`]) and the write path ([`commit`]). A backend adds its SQL and its connections in a folder of its own.

pub mod commit;
pub mod error;
pub mod model;
pub mod page;
pub mod sqlite;

use std::sync::Arc;

use error::StoreError;

/// What a call to a store comes back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The call is done and has nothing to say.
    Done,
    /// The event is stored, at this index instead of the one it asked for.
    Reassigned(i64),
    /// The JSON text of a record or of a page.
    Json(String),
    /// There is no such record.
    Absent,
}

/// A finished call: the caller's ticket, and what the call came back with.
pub type Completion<T> = (T, Result<Answer, StoreError>);

/// Takes finished calls back to the caller, all of one batch at once, on a thread of the store.
///
/// `T` is the caller's ticket: the store carries it from the call to its completion and never looks inside.
pub type Deliver<T> = Arc<dyn Fn(Vec<Completion<T>>) + Send + Sync>;

/// What to do when an event's place, `(session_id, event_index)`, is taken by another event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexConflict {
    /// Store the event at the index after the session's highest.
    #[default]
    Reassign,
    /// Refuse the event with the message that the SDK recognises (docs/sdk-contract.md, 6).
    Reject,
}
