//! Copies the database into a file of its own while others write. It is a job that has a connection of its own, since it reads
//! for long; [`SqliteStore::backup`](super::SqliteStore::backup) makes it.
//!
//! SQLite's own way to copy begins anew whenever another connection has written. Not so on a connection that is in a transaction:
//! it copies what there was when that began, and nobody waits for it, as for any other reader.

mod place;
mod verdict;

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::backup::{Backup as Copying, Progress as Pages, StepResult};
use rusqlite::{Connection, OpenFlags, ffi};
use serde::Serialize;

use super::checkpoints::{self, Checkpoints};
use super::connection::{Location, Target};
use super::error::store_error;
use super::shared::{Shared, Stay};
use crate::store::access::Access;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::jobs::{Calls, Ended, Job};
use place::{Partial, Place};

/// How many pages are copied before the job looks whether it should go on.
const PAGES_A_STEP: i32 = 256;

/// How much is written before it is sent to the disk. A commit of the writer's may have to wait until the disk has taken what
/// was written to other files before it, so that must not be everything.
const BYTES_A_SYNC: u64 = 8 << 20;

/// What a backup is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupRequest {
    path: PathBuf,
    overwrite: bool,
}

impl BackupRequest {
    /// A backup at `path`, in place of what is there only if `overwrite` says so.
    pub fn new(path: &str, overwrite: bool) -> Result<Self, StoreError> {
        if path.is_empty() || path == Location::MEMORY || path.starts_with("file:") || path.contains('\0') {
            return Err(StoreError::invalid(
                "path must be the path of a file; a URI, \":memory:\" or an empty string is none",
            ));
        }
        let path = std::path::absolute(path).map_err(|error| {
            StoreError::new(
                ErrorKind::Unavailable,
                format!("finding the directory of {path:?} failed: {error}"),
            )
        })?;
        Ok(Self { path, overwrite })
    }
}

/// See the module's description.
pub struct Backup<T> {
    shared: Arc<Shared<T>>,
    source: Target,
    request: BackupRequest,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How many bytes are copied.
    pub bytes: u64,
    /// How many there are.
    pub total_bytes: u64,
}

/// What a backup is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Pages are copied.
    Copying,
    /// The copy is checked.
    Verifying,
}

/// What came of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// How many bytes the file has.
    pub bytes: u64,
}

impl<T> Backup<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, source: Target, request: BackupRequest) -> Self {
        Self {
            shared,
            source,
            request,
        }
    }
}

impl<T: Send + 'static> Job for Backup<T> {
    type Progress = Progress;
    type Result = Copied;

    fn run(&self, store: &dyn Calls<Progress>) -> Result<Copied, Ended> {
        store.ready()?;
        let watch = Watch {
            store,
            stay: self.shared.stay()?,
        };
        let partial = Place::of(&self.request, &self.source.location)?.begin()?;
        self.copy(&partial, &watch)?;
        let bytes = partial.complete()?;
        self.verify(&partial, &watch, bytes)?;
        partial.publish()?;
        Ok(Copied { bytes })
    }
}

/// Whom a backup tells how far it is, and who may end it.
struct Watch<'a, T> {
    store: &'a dyn Calls<Progress>,
    stay: Stay<T>,
}

impl<T> Watch<'_, T> {
    fn tell(&self, phase: Phase, bytes: u64, total_bytes: u64) -> Result<(), Ended> {
        self.stay.check()?;
        self.store.progress(&Progress {
            phase,
            bytes,
            total_bytes,
        })
    }
}

impl<T> Backup<T> {
    fn copy(&self, partial: &Partial, watch: &Watch<'_, T>) -> Result<(), Ended> {
        let failed = |error: rusqlite::Error| self.failed(&error);
        let reads = watch.stay.read();
        let source = self.snapshot()?;
        let page_bytes: u32 = source
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .map_err(failed)?;
        let mut destination = partial
            .connect(OpenFlags::SQLITE_OPEN_READ_WRITE)
            .and_then(|destination| {
                // A copy that is not finished is removed, not rolled back; `Partial` has it written to the disk.
                destination.pragma_update(None, "journal_mode", "OFF")?;
                destination.pragma_update(None, "synchronous", "OFF")?;
                Ok(destination)
            })
            .map_err(failed)?;
        let copying = Copying::new(&source, &mut destination).map_err(failed)?;
        let mut synced = 0;
        loop {
            let step = copying.step(PAGES_A_STEP).map_err(failed)?;
            let Pages { remaining, pagecount } = copying.progress();
            let of_pages = |pages: i32| u64::try_from(pages).unwrap_or(0) * u64::from(page_bytes);
            let bytes = of_pages(pagecount - remaining);
            watch.tell(Phase::Copying, bytes, of_pages(pagecount))?;
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                // Nobody but this job uses either connection.
                _ => return Err(StoreError::internal("a step of a backup found its own connections in use").into()),
            }
            if bytes >= synced + BYTES_A_SYNC {
                partial.sync()?;
                synced = bytes;
            }
        }
        drop(copying);
        self.let_go(&source);
        drop(reads);
        Ok(())
    }

    /// Ends the transaction, and copies the log that has grown meanwhile, which else the writer would do while others wait.
    fn let_go(&self, source: &Connection) {
        let is_ours = self.source.checkpoints == Checkpoints::Automatic && self.source.access != Access::Read;
        if is_ours && let Location::File(_) = self.source.location {
            // When it fails the writer does it.
            let _ = source
                .execute_batch("COMMIT")
                .and_then(|()| checkpoints::copy_beside(source));
        }
    }

    /// A connection that sees what is stored at this moment for as long as it is open.
    fn snapshot(&self) -> Result<Connection, StoreError> {
        let connection = self.source.open_reader()?;
        let snapshot = match self.source.location {
            Location::File(_) => self.transaction(connection),
            // There a reader keeps the writer out; so all is copied within memory first, which takes less long.
            Location::Memory(_) => self.copy_in_memory(&connection),
        };
        snapshot.map_err(|error| self.failed(&error))
    }

    /// Begins a transaction, which sees the same until it ends.
    fn transaction(&self, connection: Connection) -> rusqlite::Result<Connection> {
        connection.execute_batch("BEGIN")?;
        self.source
            .patiently(|| connection.execute_batch("SELECT 1 FROM sqlite_schema LIMIT 1"))?;
        Ok(connection)
    }

    fn copy_in_memory(&self, connection: &Connection) -> rusqlite::Result<Connection> {
        let mut copy = Connection::open_in_memory()?;
        self.source
            .patiently(|| match Copying::new(connection, &mut copy)?.step(-1)? {
                StepResult::Done => Ok(()),
                _ => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)),
            })?;
        Ok(copy)
    }

    fn verify(&self, partial: &Partial, watch: &Watch<'_, T>, bytes: u64) -> Result<(), Ended> {
        let copy = partial
            .connect(OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|error| self.failed(&error))?;
        let verdict = verdict::on(&copy, || watch.tell(Phase::Verifying, bytes, bytes))?;
        match verdict.map_err(|error| self.failed(&error))?.as_str() {
            "ok" => Ok(()),
            damage => Err(StoreError::new(
                ErrorKind::Corrupt,
                format!(
                    "{} failed: the copy is damaged ({damage}), and so, most likely, is the database; nothing was changed at that \
                     path, save what can be saved with `sqlite3 FILE .recover`",
                    self.doing()
                ),
            )
            .into()),
        }
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) {
            return place::full(&self.doing());
        }
        store_error(&self.doing(), error)
    }

    /// What an error says was being done.
    fn doing(&self) -> String {
        format!(
            "backing up {} to {}",
            self.source.location.name(),
            self.request.path.display()
        )
    }
}
