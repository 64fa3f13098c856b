//! Numbers as people read them.

use std::fmt::Display;

use indicatif::{DecimalBytes, HumanCount};

/// `1 event`, `3,456 events`.
pub(super) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", HumanCount(count))
}

/// `512 B`, `1.20 MB`.
pub(super) fn bytes(count: u64) -> impl Display {
    DecimalBytes(count)
}
