//! The time as the tables have it: milliseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// So long ago.
#[must_use]
pub fn ago(duration: Duration) -> i64 {
    now().saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}
