//! Now, as the rules of following need it. Backends read the clocks, and hand it in.

use std::time::{Instant, SystemTime};

/// Now, by the clock that never jumps, and as milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For how long things take.
    pub instant: Instant,
    /// For when events were created.
    pub millis: i64,
}

impl Moment {
    /// What the clocks say.
    #[must_use]
    pub fn now() -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            instant: Instant::now(),
            millis: i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX),
        }
    }
}
