//! What a database holds, as its backend measures it.

use serde::Serialize;

use crate::store::tables::layout::Layout;

/// How many rows of a table are counted one by one each time. Of more, each backend has an estimate.
pub const EXACT_ROWS: i64 = 10_000;

/// What a database holds. `lib/stats.ts` says what each field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct DatabaseSize {
    pub layout: Layout,
    pub sessions: i64,
    pub events: i64,
    pub counts: Counts,
    pub data_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
}

/// How sure the numbers of rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Counts {
    /// All were counted just now.
    Exact,
    /// One of them is an estimate.
    Estimate,
}
