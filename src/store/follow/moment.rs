//! Now, as the rules of following need it. Backends read the clocks, and hand it in.

use std::time::Instant;

use crate::store::time::now;

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
        Self {
            instant: Instant::now(),
            millis: now(),
        }
    }
}
