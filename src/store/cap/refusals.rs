//! What is over a cap and could not be removed. No write fails for it, so those who watch the store are told.

use std::sync::Arc;
use std::time::Instant;

use super::PAUSE_AFTER_REFUSAL;
use crate::store::error::StoreError;
use crate::store::notices::WarningCode;
use crate::store::statistics::Statistics;

/// Tells of it once a minute at most: what hinders one removal may hinder that of every session.
pub struct Refusals {
    statistics: Arc<Statistics>,
    last: Option<Instant>,
}

impl Refusals {
    /// Tells those who watch this store.
    #[must_use]
    pub fn of(statistics: Arc<Statistics>) -> Self {
        Self { statistics, last: None }
    }

    /// Something could not be removed. It stays, and is tried again in a minute.
    pub fn note(&mut self, error: StoreError) {
        if self.last.is_none_or(|last| last.elapsed() >= PAUSE_AFTER_REFUSAL) {
            self.last = Some(Instant::now());
            self.statistics.warn(WarningCode::CapNotKept, error.message);
        }
    }
}
