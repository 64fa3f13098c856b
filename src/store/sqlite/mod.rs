//! The SQLite backend: one writer thread and a few reader threads over one database. `bindings` calls [`SqliteStore`].
//!
//! [`SqliteStore`] is the handle that callers hold, and the threads' loops stand below it; `shared` is what they share. Each other
//! file says what it is for, and ARCHITECTURE.md has the list.

mod ahead;
mod backup;
mod check;
mod checkpoints;
mod compaction;
mod connection;
mod error;
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
mod tombstones;
mod trim;
mod write;

use std::sync::Arc;
use std::thread;
use std::time::Instant;

pub use backup::{Backup, BackupRequest, Copied};
pub use checkpoints::Checkpoints;
pub use connection::{Durability, Location, Target};
pub use tables::{Tables, creation, plan};

use ahead::ReaderAhead;
use follow::FollowReader;
use following::FollowTask;
use log::LogWatch;
use read::Reader;
use readers::{ReaderId, ReaderTask};
use shared::{Shared, WriterTask};
use write::Writer;

use super::access::Access;
use super::address::{StoreAddress, System};
use super::cap::{Caps, Extent};
use super::commit::commit_batch;
use super::error::{StoreError, catching};
use super::follow::{FollowerId, Look};
use super::statistics::{Held, Statistics};
use super::write::WriteRequest;
use super::{Answer, Deliver, IndexConflict, ReadRequest, Store};

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

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| StoreError::no_thread(&error))
}

/// The writer thread: opens the database, commits batch after batch, and closes it last.
fn write_all<T: Send>(shared: &Shared<T>, options: &SqliteOptions) {
    let mut writer = None;
    let mut log = LogWatch::new(&options.target.location);
    let (statistics, connections) = (&shared.statistics, &shared.statistics.connections);
    loop {
        let patience = writer
            .as_ref()
            .and_then(|(writer, _): &(Writer, Held)| writer.trim_patience());
        match shared.next_task(patience) {
            WriterTask::Open => {
                let connecting = connections.connecting.hold();
                let opened = catching("opening the database", || open_writer(options, statistics));
                drop(connecting);
                match opened {
                    Ok(opened) => {
                        writer = Some((opened, connections.open.hold()));
                        shared.opened();
                    }
                    Err(error) => shared.open_failed(&error),
                }
            }
            WriterTask::Commit(batch) => {
                if let Some((writer, _)) = &mut writer {
                    let sessions = shared.following.begins_to_write(&batch);
                    let deleted = batch.deleted_session().map(str::to_owned);
                    let busy = connections.busy.hold();
                    let completions = commit_batch(writer, batch, statistics);
                    drop(busy);
                    log.look(statistics);
                    let deleted = deleted.filter(|_| completions.iter().all(|(_, result)| result.is_ok()));
                    shared.deliver_all(completions);
                    writer.keep_log_small(shared.is_read_for_long());
                    if let Some(session_id) = deleted {
                        shared.deliver_all(shared.following.ended(&session_id));
                    }
                    if shared.following.is_used() {
                        shared.following.written(sessions.as_deref(), writer.others_wrote());
                    }
                    trim(|| writer.trim(Extent::Due));
                }
            }
            WriterTask::Idle => {
                if let Some((writer, _)) = &mut writer {
                    trim(|| writer.trim(Extent::All));
                }
            }
            WriterTask::Close => {
                if let Some((writer, _)) = &mut writer {
                    trim(|| writer.trim_last());
                }
                // Closing the last connection folds the write-ahead log into the file, so it comes after the readers'.
                drop(writer);
                return shared.closed();
            }
        }
    }
}

/// Removes what is over the caps. Nobody waits for this: what fails in it is tried again.
fn trim(remove: impl FnOnce()) {
    let _ = catching("removing what is over the caps", || {
        remove();
        Ok(())
    });
}

fn open_writer(options: &SqliteOptions, statistics: &Arc<Statistics>) -> Result<Writer, StoreError> {
    let SqliteOptions {
        target,
        tables,
        index_conflict,
        caps,
    } = options;
    let connection = target.open_writer()?;
    tables::prepare(&connection, target, tables)?;
    Ok(Writer::new(
        connection,
        target.clone(),
        tables,
        *index_conflict,
        *caps,
        Arc::clone(statistics),
    ))
}

/// A reader thread: answers its reads until the store is closed.
fn read_all<T: Send>(shared: &Shared<T>, options: &SqliteOptions, id: ReaderId) {
    let mut reader = None;
    let connections = &shared.statistics.connections;
    let mut open = None;
    loop {
        match shared.next_read(id, reader.as_ref().and_then(ReaderAhead::patience)) {
            ReaderTask::Answer(request, ticket) => {
                let busy = connections.busy.hold();
                let result = catching("reading", || answer(&mut reader, options, &request));
                open = reader
                    .is_some()
                    .then(|| open.take().unwrap_or_else(|| connections.open.hold()));
                drop((request, busy));
                shared.deliver((ticket, result));
            }
            ReaderTask::Idle => {
                if let Some(reader) = &mut reader {
                    // Nobody waits for this: a failure is met again, and told, when the page is asked for.
                    let _ = catching("reading ahead", || {
                        reader.idle();
                        Ok(())
                    });
                }
            }
            ReaderTask::Close => break,
        }
    }
    drop((reader, open));
    shared.reader_ended(id);
}

fn answer(
    reader: &mut Option<ReaderAhead>,
    options: &SqliteOptions,
    request: &ReadRequest,
) -> Result<Answer, StoreError> {
    let opened = match reader.take() {
        Some(opened) => opened,
        None => ReaderAhead::new(Reader::open(&options.target, &options.tables)?),
    };
    reader.insert(opened).read(request)
}

/// How many questions of followers are answered at once, so that what was found need not all be kept.
const ASKS_AT_ONCE: usize = 64;

/// The followers' thread: looks for what they wait for until the store is closed.
fn follow_all<T: Send>(shared: &Shared<T>, options: &SqliteOptions) {
    let mut reader = None;
    let connections = &shared.statistics.connections;
    let mut open = None;
    // Nobody else can write to a database in memory.
    let polls = matches!(options.target.location, Location::File(_));
    loop {
        let done = match shared.following.next_task(polls) {
            FollowTask::Look(look) => catching("following", || {
                look_for(shared, follow_reader(&mut reader, options)?, look)
            }),
            FollowTask::Poll => catching("following", || {
                let changed = follow_reader(&mut reader, options)?.has_changed()?;
                shared.following.polled(changed);
                Ok(())
            }),
            FollowTask::End => break,
        };
        open = reader
            .is_some()
            .then(|| open.take().unwrap_or_else(|| connections.open.hold()));
        if let Err(error) = done {
            shared.deliver_all(shared.following.all_failed(&error));
        }
    }
    shared.deliver_all(shared.following.close());
    drop((reader, open));
    shared.follower_ended();
}

fn follow_reader<'a>(
    reader: &'a mut Option<FollowReader>,
    options: &SqliteOptions,
) -> Result<&'a mut FollowReader, StoreError> {
    let opened = match reader.take() {
        Some(opened) => opened,
        None => FollowReader::open(&options.target, &options.tables)?,
    };
    Ok(reader.insert(opened))
}

fn look_for<T: Send>(shared: &Shared<T>, reader: &FollowReader, look: Look) -> Result<(), StoreError> {
    let started = Instant::now();
    for asks in look.asks.chunks(ASKS_AT_ONCE) {
        let found = asks.iter().cloned().zip(reader.events(asks)?).collect();
        shared.deliver_all(shared.following.found(found));
    }
    for session in reader.deleted(look.sessions)? {
        shared.deliver_all(shared.following.ended(&session));
    }
    if look.is_of_all {
        shared.following.looked_at_all(started.elapsed());
    }
    Ok(())
}
