//! The SQLite backend: one writer thread and a few reader threads over one database. `bindings` calls [`SqliteStore`].
//!
//! [`SqliteStore`] is the handle that callers hold, `threads` has the loops of its threads, and `shared` is what they share. Each other
//! file says what it is for, and ARCHITECTURE.md has the list.

mod ahead;
mod backup;
mod check;
mod checkpoints;
mod compaction;
mod connection;
mod error;
mod files;
mod follow;
mod following;
mod list;
mod log;
mod measure;
mod polls;
mod prunable;
mod read;
mod readers;
mod rebuild;
mod record;
mod scan;
mod shared;
mod single;
mod space;
mod tables;
mod threads;
mod tombstones;
mod trim;
mod write;

use std::path::Path;
use std::sync::Arc;

pub use backup::{Backup, BackupRequest, Copied};
pub use checkpoints::Checkpoints;
pub use connection::{Durability, Location, Target};
pub use tables::{Tables, creation, plan};

use readers::ReaderId;
use shared::Shared;
use threads::{follow_all, read_all, start_thread, write_all};

use super::access::Access;
use super::address::{StoreAddress, System};
use super::cap::Caps;
use super::error::StoreError;
use super::follow::FollowerId;
use super::statistics::Statistics;
use super::write::WriteRequest;
use super::{Deliver, IndexConflict, ReadRequest, Store};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Which database, and how.
    pub target: Target,
    /// What its tables are called.
    pub tables: Tables,
    /// What to do with an event whose place is taken.
    pub index_conflict: IndexConflict,
    /// How much is kept at most.
    pub caps: Caps,
}

/// The store over an SQLite database. The order of writes is that of their calls, whatever session they are of.
pub struct SqliteStore<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    options: SqliteOptions,
    address: StoreAddress,
}

impl<T: Send + 'static> SqliteStore<T> {
    /// Begins to open the database.
    pub fn open(options: SqliteOptions, deliver: Deliver<T>) -> Result<Self, StoreError> {
        let store = Self {
            shared: Arc::new(Shared::new(deliver)),
            address: StoreAddress {
                system: System::Sqlite,
                namespace: options.target.location.name(),
                server_address: None,
                server_port: None,
            },
            options,
        };
        let (shared, options) = (Arc::clone(&store.shared), store.options.clone());
        start_thread("persist-writer", move || write_all(&shared, &options))?;
        Ok(store)
    }

    /// Whether this is the file of the database, or one that SQLite keeps beside it.
    #[must_use]
    pub fn has_file(&self, path: &Path) -> bool {
        self.options.target.location.has_file(path)
    }

    /// A copy of the database, once it is run.
    #[must_use]
    pub fn backup(&self, request: BackupRequest) -> Backup<T> {
        Backup::new(Arc::clone(&self.shared), self.options.target.clone(), request)
    }
}

impl<T: Send + 'static> Store<T> for SqliteStore<T> {
    fn address(&self) -> &StoreAddress {
        &self.address
    }

    fn statistics(&self) -> &Arc<Statistics> {
        &self.shared.statistics
    }

    fn ready(&self, ticket: T) {
        self.shared.push_ready(ticket);
    }

    fn write(&self, writes: Vec<(WriteRequest, T)>) {
        if self.options.target.access == Access::Read {
            let refusal = StoreError::only_read(&self.options.target.location.name());
            return self.shared.refuse(&refusal, writes);
        }
        self.shared.push_writes(writes);
    }

    fn read(&self, request: ReadRequest, ticket: T) {
        let reader = ReaderId::of(&request);
        if self.shared.push_read(request, ticket) {
            let (shared, options) = (Arc::clone(&self.shared), self.options.clone());
            if let Err(error) = start_thread("persist-reader", move || read_all(&shared, &options, reader)) {
                self.shared.reader_not_started(reader, &error);
            }
        }
    }

    fn follow(&self, follower: FollowerId, session_id: &str, after: i64) {
        self.shared.following.follow(follower, session_id, after);
    }

    fn next_events(&self, follower: FollowerId, ticket: T) {
        if self.shared.push_next_events(follower, ticket) {
            let (shared, options) = (Arc::clone(&self.shared), self.options.clone());
            if let Err(error) = start_thread("persist-follow", move || follow_all(&shared, &options)) {
                self.shared.follower_not_started(&error);
            }
        }
    }

    fn unfollow(&self, follower: FollowerId) {
        self.shared
            .deliver_all(Vec::from_iter(self.shared.following.unfollow(follower)));
    }

    fn close(&self, ticket: Option<T>) {
        self.shared.push_close(ticket);
    }
}

impl<T: Send + 'static> Drop for SqliteStore<T> {
    fn drop(&mut self) {
        self.shared.push_close(None);
    }
}
