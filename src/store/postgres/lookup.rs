//! The connection that lookups share: each is sent before those in front of it are answered, and none waits for a page.
//! `database` runs them on it.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::shared::SharedConnection;

/// See the module's description.
#[derive(Default)]
pub(super) struct Lookups {
    /// The connection of those that are under way.
    current: RefCell<Weak<SharedConnection>>,
}

impl Lookups {
    /// The connection on which others are under way, or else another one.
    pub(super) fn enter(&self) -> Rc<SharedConnection> {
        let mut current = self.current.borrow_mut();
        match current.upgrade() {
            Some(current) if current.is_usable() => current,
            _ => {
                let new = Rc::default();
                *current = Rc::downgrade(&new);
                new
            }
        }
    }
}
