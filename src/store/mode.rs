//! Whether a job does its work, or only counts what there is to do. `bindings` asks for either, and `jobs` and their steps heed it.

/// See the module's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Run,
    /// It is counted, and everything stays as it is.
    DryRun,
}
