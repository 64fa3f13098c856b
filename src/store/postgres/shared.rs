//! A connection that several use at once, made for the first of them. `pipeline` and `lookup` have theirs so.

use futures_util::future::LocalBoxFuture;
use tokio::sync::OnceCell;

use super::connection::{Connection, Lease};
use super::error::Failure;

/// Goes back to its pool with its last user.
#[derive(Default)]
pub(super) struct SharedConnection(OnceCell<Lease>);

impl SharedConnection {
    pub(super) fn is_usable(&self) -> bool {
        self.0.get().is_none_or(|connection| connection.is_usable())
    }

    /// The connection, which `make` makes if nobody has yet.
    pub(super) async fn get<'a>(
        &self,
        make: impl FnOnce() -> LocalBoxFuture<'a, Result<Lease, Failure>>,
    ) -> Result<&Connection, Failure> {
        Ok(self.0.get_or_try_init(make).await?)
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.release();
        }
    }
}
