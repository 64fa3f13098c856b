//! The commands, a file each: its arguments, their help, and what it does.

pub(super) mod migrate;
pub(super) mod sessions;
pub(super) mod vacuum;
