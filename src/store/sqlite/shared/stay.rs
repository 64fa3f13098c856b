//! Work that is under way beside the threads of a store, with a connection of its own, such as a backup.

use std::sync::Arc;

use super::Shared;
use crate::store::error::StoreError;

impl<T> Shared<T> {
    /// Keeps the store from being closed until what comes back is dropped.
    pub(in crate::store::sqlite) fn stay(self: &Arc<Self>) -> Result<Stay<T>, StoreError> {
        self.accept()?.stays += 1;
        Ok(Stay(Arc::clone(self)))
    }
}

/// Work is under way beside the threads, with a connection of its own. `close` waits until this is dropped.
pub(in crate::store::sqlite) struct Stay<T>(Arc<Shared<T>>);

impl<T> Stay<T> {
    /// Fails once the store is to be closed.
    pub(in crate::store::sqlite) fn check(&self) -> Result<(), StoreError> {
        let Self(shared) = self;
        if shared.state().closing {
            return Err(StoreError::closed());
        }
        Ok(())
    }

    /// Tells the writer that the work reads at one moment until what comes back is dropped.
    pub(in crate::store::sqlite) fn read(&self) -> LongRead<'_, T> {
        let Self(shared) = self;
        shared.state().long_reads += 1;
        LongRead(shared)
    }
}

/// See [`Stay::read`].
pub(in crate::store::sqlite) struct LongRead<'a, T>(&'a Shared<T>);

impl<T> Drop for LongRead<'_, T> {
    fn drop(&mut self) {
        let Self(shared) = self;
        shared.state().long_reads -= 1;
    }
}

impl<T> Drop for Stay<T> {
    fn drop(&mut self) {
        let Self(shared) = self;
        shared.state().stays -= 1;
        shared.writer_wakes.notify_one();
    }
}
