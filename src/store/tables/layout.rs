//! Which layout the table of events has. Statistics, checks and the rebuilding of the table tell by it.

use serde::Serialize;

/// What the table of events was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// It is as a new store has it: our columns, and the one index that writing needs.
    Own,
    /// Another program made it, and its keys and indexes cost speed.
    Adopted,
}
