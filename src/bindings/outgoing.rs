//! Calls on their way to the store: the writes of one turn of the event loop go together. `driver` makes the calls.
//!
//! The writers whose promises one batch settles go on in one turn, and write again. Were each write sent at once, the first
//! would wake the store's thread and be committed alone, and all others would wait for that.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::promises::Ticket;
use crate::store::address::StoreAddress;
use crate::store::follow::FollowerId;
use crate::store::jobs::{JobStore, Recipient};
use crate::store::statistics::Statistics;
use crate::store::write::WriteRequest;
use crate::store::{ReadRequest, Store};

/// How many writes wait for the end of the turn. When there are more, the store may begin beside the JavaScript thread.
const MOST: usize = 64;

/// How much text they have. Writes are counted, and refused if too much waits, when they are sent.
const MOST_BYTES: usize = 1 << 20;

/// The store of a driver, whose jobs call it on threads of their own.
pub(super) type DriverStore = dyn Store<Recipient<Ticket>> + Send + Sync;

/// A store, and the writes that are not sent to it yet.
pub(super) struct Outgoing {
    store: Arc<DriverStore>,
    writes: RefCell<Vec<(WriteRequest, Recipient<Ticket>)>>,
    bytes: Cell<usize>,
}

impl Outgoing {
    pub(super) fn to(store: Arc<DriverStore>) -> Self {
        Self {
            store,
            writes: RefCell::default(),
            bytes: Cell::new(0),
        }
    }

    pub(super) fn address(&self) -> &StoreAddress {
        self.store.address()
    }

    /// Takes a write, which goes to the store with the next [`Self::send`]. True if that has to be called at the end of this
    /// turn, for this write and those that follow it.
    pub(super) fn write(&self, request: WriteRequest, ticket: Ticket) -> bool {
        let bytes = self.bytes.get() + request.text_bytes();
        let mut writes = self.writes.borrow_mut();
        writes.push((request, Recipient::Caller(ticket)));
        let count = writes.len();
        drop(writes);
        self.bytes.set(bytes);
        if count >= MOST || bytes >= MOST_BYTES {
            self.send();
            return false;
        }
        count == 1
    }

    /// Sends the writes that have come.
    pub(super) fn send(&self) {
        let writes = self.writes.take();
        self.bytes.set(0);
        if !writes.is_empty() {
            self.store.write(writes);
        }
    }

    pub(super) fn read(&self, request: ReadRequest, ticket: Ticket) {
        self.send();
        self.store.read(request, Recipient::Caller(ticket));
    }

    pub(super) fn statistics(&self) -> &Arc<Statistics> {
        self.store.statistics()
    }

    /// The store for a job, which sees what was written before it began.
    pub(super) fn for_job(&self) -> JobStore<Ticket> {
        self.send();
        JobStore::new(Arc::clone(&self.store))
    }

    pub(super) fn ready(&self, ticket: Ticket) {
        self.send();
        self.store.ready(Recipient::Caller(ticket));
    }

    pub(super) fn follow(&self, follower: FollowerId, session_id: &str, after: i64) {
        self.store.follow(follower, session_id, after);
    }

    pub(super) fn next_events(&self, follower: FollowerId, ticket: Ticket) {
        self.store.next_events(follower, Recipient::Caller(ticket));
    }

    pub(super) fn unfollow(&self, follower: FollowerId) {
        self.store.unfollow(follower);
    }

    pub(super) fn close(&self, ticket: Option<Ticket>) {
        self.send();
        self.store.close(ticket.map(Recipient::Caller));
    }
}
