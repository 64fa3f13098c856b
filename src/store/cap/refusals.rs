//! What is over a cap and could not be removed. No write fails for it, so it is known here alone.

use crate::store::error::StoreError;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Refusals {
    last: Option<StoreError>,
}

impl Refusals {
    /// Something could not be removed. It stays, and is tried again in a minute.
    pub fn note(&mut self, error: StoreError) {
        self.last = Some(error);
    }

    /// Why the last one was not, if any was not.
    #[must_use]
    pub fn last(&self) -> Option<&StoreError> {
        self.last.as_ref()
    }
}
