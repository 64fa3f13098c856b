//! The threads of a store: the writer, the readers, and the one of the followers. `super` starts them; each works until the store is
//! closed.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::SqliteOptions;
use super::ahead::ReaderAhead;
use super::connection::Location;
use super::follow::FollowReader;
use super::following::FollowTask;
use super::log::LogWatch;
use super::read::Reader;
use super::readers::{ReaderId, ReaderTask};
use super::shared::{Shared, WriterTask};
use super::tables;
use super::write::Writer;
use crate::store::cap::Extent;
use crate::store::commit::commit_batch;
use crate::store::error::{ErrorKind, StoreError, catching};
use crate::store::follow::Look;
use crate::store::statistics::{Held, Statistics};
use crate::store::{Answer, ReadRequest};

/// Starts a thread of this name.
pub(super) fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| StoreError::no_thread(&error))
}

/// The writer thread: opens the database, commits batch after batch, and closes it last.
pub(super) fn write_all<T: Send>(shared: &Shared<T>, options: &SqliteOptions) {
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
pub(super) fn read_all<T: Send>(shared: &Shared<T>, options: &SqliteOptions, id: ReaderId) {
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
            ReaderTask::GiveUp(request, ticket) => {
                let refusal = StoreError::new(
                    ErrorKind::Busy,
                    format!(
                        "{} {} failed: it is being made ready; try again",
                        request.doing(),
                        options.target.location.name()
                    ),
                );
                drop(request);
                shared.deliver((ticket, Err(refusal)));
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
pub(super) fn follow_all<T: Send>(shared: &Shared<T>, options: &SqliteOptions) {
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
