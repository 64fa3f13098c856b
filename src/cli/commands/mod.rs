//! The commands, a file each: its arguments, their help, and what it does.

pub(super) mod backup;
pub(super) mod check;
pub(super) mod compact;
pub(super) mod completions;
pub(super) mod copy;
pub(super) mod delete;
pub(super) mod export;
pub(super) mod fork;
pub(super) mod import;
pub(super) mod label;
pub(super) mod migrate;
pub(super) mod prune;
pub(super) mod rebuild;
pub(super) mod sessions;
pub(super) mod show;
pub(super) mod stats;
pub(super) mod tail;
pub(super) mod vacuum;
