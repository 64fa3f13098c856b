//! What a native driver holds, and its followers with it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use super::environment::Release;
use super::handover::Handover;
use super::outgoing::Outgoing;
use super::promises::{Promises, Ticket};
use super::realm::Realm;
use crate::store::Deliver;
use crate::store::error::StoreError;
use crate::store::follow::FollowerId;

/// An open driver.
pub(super) struct Open {
    pub(super) realm: Rc<Realm>,
    pub(super) promises: Promises,
    /// Where answers go that are not the store's own.
    pub(super) deliver: Deliver<Ticket>,
    pub(super) store: Outgoing,
    followers: Cell<u64>,
    /// Those of the copies into it.
    handovers: RefCell<Vec<Weak<Handover>>>,
    is_closed: Cell<bool>,
}

impl Open {
    pub(super) fn new(realm: Rc<Realm>, promises: Promises, deliver: Deliver<Ticket>, store: Outgoing) -> Self {
        Self {
            realm,
            promises,
            deliver,
            store,
            followers: Cell::new(0),
            handovers: RefCell::default(),
            is_closed: Cell::new(false),
        }
    }

    /// An id that no other follower of the driver has.
    pub(super) fn next_follower(&self) -> FollowerId {
        self.followers.set(self.followers.get() + 1);
        FollowerId(self.followers.get())
    }

    pub(super) fn check_not_closed(&self) -> Result<(), StoreError> {
        if self.is_closed.get() {
            return Err(StoreError::closed());
        }
        Ok(())
    }

    /// A handover of a copy into it, which is told when it is closed.
    pub(super) fn handover(&self) -> Arc<Handover> {
        let handover = Handover::new(Arc::clone(&self.deliver));
        let mut handovers = self.handovers.borrow_mut();
        handovers.retain(|other| other.strong_count() > 0);
        handovers.push(Arc::downgrade(&handover));
        handover
    }

    fn close_handovers(&self) {
        let handovers = self.handovers.take();
        handovers
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|handover| handover.close());
    }

    pub(super) fn close(&self, ticket: Ticket) {
        self.is_closed.set(true);
        self.close_handovers();
        self.store.close(Some(ticket));
    }
}

impl Release for Open {
    fn release(&self) {
        self.promises.abandon();
        self.close_handovers();
        self.store.close(None);
    }
}
