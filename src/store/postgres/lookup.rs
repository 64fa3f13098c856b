//! The connection that lookups share: each is sent before those in front of it are answered, and none waits for a page.
//! `database` runs them on it.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use deadpool::managed::Object;
use futures_util::future::LocalBoxFuture;
use tokio::sync::OnceCell;

use super::connection::{Connection, Connector, release};
use super::error::Failure;

/// See the module's description.
#[derive(Default)]
pub(super) struct Lookups {
    /// The connection of those that are under way.
    shared: RefCell<Weak<Shared>>,
}

/// A connection that goes back to its pool with its last user.
#[derive(Default)]
pub(super) struct Shared {
    /// Made for the first lookup.
    connection: OnceCell<Object<Connector>>,
}

impl Lookups {
    /// The connection on which others are under way, or else another one.
    pub(super) fn enter(&self) -> Rc<Shared> {
        let mut shared = self.shared.borrow_mut();
        match shared.upgrade() {
            Some(shared) if shared.is_usable() => shared,
            _ => {
                let new = Rc::default();
                *shared = Rc::downgrade(&new);
                new
            }
        }
    }
}

impl Shared {
    fn is_usable(&self) -> bool {
        self.connection.get().is_none_or(|connection| connection.is_usable())
    }

    /// The connection, which `make` makes if nobody has yet.
    pub(super) async fn connection<'a>(
        &self,
        make: impl FnOnce() -> LocalBoxFuture<'a, Result<Object<Connector>, Failure>>,
    ) -> Result<&Connection, Failure> {
        Ok(self.connection.get_or_try_init(make).await?)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            release(connection);
        }
    }
}
