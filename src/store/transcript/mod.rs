//! What events say, as far as the store has to know: the one place under `store` that reads payloads beyond their method. Compaction is
//! made of it; it knows no database. (What people read of them `cli::transcript` makes.)
//!
//! `chunk` finds the text of one streamed message in a payload, `join` makes one event of a run of them, and `turns` says where the
//! last turn that is over ends. `kind` says of which kind a message is.

mod chunk;
mod join;
mod kind;
mod turns;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use join::{Joiner, MAX_TEXT_BYTES, OpenRun, Row, Run};
pub use kind::{Glance, Kind};
pub use turns::{Message, MessageKind, TurnSearch};
