//! Connections to one SQLite database: where it is, how it is opened, and how locks are waited for.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use super::checkpoints::{self, Checkpoints};
use super::error::{is_busy, kind_of_file_error, store_error};
use crate::store::access::Access;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::message::{StoreOption, message};
use crate::store::partial_file::private_file;

/// The writer's page cache, in KiB. SQLite's 2 MiB do not hold the pages that 512 sessions write to, and are spilled to the disk in
/// mid-transaction.
const WRITER_CACHE_KIB: i64 = 16_000;

/// How long the connections of a database in memory wait for each other. All are ours, and none holds a lock for long:
/// the caller's `busyTimeoutMs` is about other processes.
const MEMORY_PATIENCE: Duration = Duration::from_secs(60);

/// When a committed transaction is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It survives a power cut: one fsync a transaction.
    #[default]
    Full,
    /// It survives the end of the process; a power cut may take the last transactions, never the database.
    Normal,
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file, by its absolute path, so that a later `chdir` does not move it.
    File(PathBuf),
    /// A database in this process's memory, by a name that no other driver has; it lives as long as one connection.
    Memory(String),
}

impl Location {
    /// The filename that means a database in memory. It is the default.
    pub const MEMORY: &str = ":memory:";

    /// The location that a filename means.
    pub fn parse(filename: &str) -> Result<Self, StoreError> {
        static MEMORY_DATABASES: AtomicU64 = AtomicU64::new(0);
        if filename == Self::MEMORY {
            let number = MEMORY_DATABASES.fetch_add(1, Ordering::Relaxed);
            // The leading slash is what lets several connections of a process share the database
            // (<https://www.sqlite.org/src/file/src/memdb.c>).
            return Ok(Self::Memory(format!("file:/sandbox-agent-persist-{number}?vfs=memdb")));
        }
        if filename.is_empty() || filename.contains('\0') || filename.starts_with("file:") {
            return Err(StoreError::invalid(message![
                StoreOption::Filename,
                " must be the path of a file, or \":memory:\"; a URI or an empty string is neither",
            ]));
        }
        std::path::absolute(filename).map(Self::File).map_err(|error| {
            StoreError::new(
                ErrorKind::Unavailable,
                format!("finding the directory of {filename:?} failed: {error}"),
            )
        })
    }

    /// The location's name in messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Memory(_) => String::from(Self::MEMORY),
        }
    }
}

/// Everything it takes to open one more connection to the same database.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where the database is.
    pub location: Location,
    /// What the driver may do with it.
    pub access: Access,
    /// When a committed transaction is safe.
    pub durability: Durability,
    /// How long to wait for somebody else's lock.
    pub busy_timeout: Duration,
    /// Who copies the write-ahead log into the file.
    pub checkpoints: Checkpoints,
    /// How many KiB of pages the writer keeps in memory.
    pub writer_cache_kib: i64,
}

impl Target {
    /// The defaults for this database.
    #[must_use]
    pub fn new(location: Location) -> Self {
        Self {
            location,
            access: Access::Migrate,
            durability: Durability::default(),
            busy_timeout: Duration::from_secs(5),
            checkpoints: Checkpoints::default(),
            writer_cache_kib: WRITER_CACHE_KIB,
        }
    }

    /// The connection that writes (or, of a read-only driver, looks at the tables).
    pub(super) fn open_writer(&self) -> Result<Connection, StoreError> {
        if let (Location::File(path), Access::Migrate) = (&self.location, self.access) {
            create_private(path)?;
        }
        let connection = self.open(match self.access {
            Access::Migrate | Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        })?;
        let synchronous = match self.durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        // Some of these read the schema first, which another process's switch to write-ahead logging refuses for a moment.
        self.patiently(|| {
            connection.pragma_update(None, "synchronous", synchronous)?;
            // On macOS fsync leaves the data in the drive's cache; elsewhere this changes nothing.
            connection.pragma_update(None, "fullfsync", self.durability == Durability::Full)?;
            // A number below zero means KiB, and not pages.
            connection.pragma_update(None, "cache_size", -self.writer_cache_kib)?;
            // What is deleted or replaced is overwritten with zeros, so that it cannot be found in the file.
            connection.pragma_update(None, "secure_delete", true)?;
            checkpoints::set_up(&connection, self.checkpoints)
        })
        .map_err(|error| self.error("setting up", &error))?;
        Ok(connection)
    }

    /// A connection that only reads.
    pub(super) fn open_reader(&self) -> Result<Connection, StoreError> {
        self.open(match self.location {
            // A reader that may write can recover the write-ahead log that a crashed process left behind.
            Location::File(_) if self.access == Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            _ => OpenFlags::SQLITE_OPEN_READ_WRITE,
        })
    }

    fn open(&self, mode: OpenFlags) -> Result<Connection, StoreError> {
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
        let opened = match &self.location {
            Location::File(path) => Connection::open_with_flags(path, flags),
            Location::Memory(uri) => {
                Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI)
            }
        };
        let connection = opened.map_err(|error| self.error("opening", &error))?;
        // Waiting is done in `patiently`, whose pauses stay short, so that a busy neighbour leaves a gap we can take.
        connection
            .busy_timeout(Duration::ZERO)
            // A table that someone made with a foreign key on the session must still take the events that
            // the SDK writes before their session (docs/sdk-contract.md, 1).
            .and_then(|()| connection.pragma_update(None, "foreign_keys", false))
            // A plan must not depend on the values bound to it, or SQLite prepares the statement anew at every call.
            .and_then(|()| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true))
            .and_then(|_| {
                // Whichever is closed last would copy the log, be it a reader's.
                let is_external = self.checkpoints == Checkpoints::External;
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_external)
            })
            .map_err(|error| self.error("setting up", &error))?;
        Ok(connection)
    }

    /// Switches a file to write-ahead logging, so that readers and the writer do not wait for each other.
    pub(super) fn enter_wal(&self, connection: &Connection) -> Result<(), StoreError> {
        if matches!(self.location, Location::Memory(_)) {
            return Ok(());
        }
        self.patiently(|| {
            if is_in_wal(connection)? {
                return Ok(());
            }
            // A file system without shared memory keeps its own mode: slower, and just as safe.
            connection.query_row(ENTER_WAL, [], |_| Ok(()))
        })
        .map_err(|error| self.error("switching to write-ahead logging", &error))
    }

    /// Runs `attempt` until it is not refused for somebody else's lock, or `busy_timeout` is over.
    ///
    /// SQLite's own waiting pauses up to 100 ms at a time, in which a neighbour that writes flat out has taken the
    /// lock a hundred times. These pauses start at 50 us, end at 2 ms, and differ between processes.
    pub(super) fn patiently<R>(&self, attempt: impl FnMut() -> rusqlite::Result<R>) -> rusqlite::Result<R> {
        within(self.patience(), attempt)
    }

    /// How long others' locks are waited for.
    pub(super) fn patience(&self) -> Duration {
        match self.location {
            Location::File(_) => self.busy_timeout,
            Location::Memory(_) => MEMORY_PATIENCE,
        }
    }

    /// Fails when the file was deleted, or another put in its place: what is written to it now nobody would find.
    pub(super) fn check_not_moved(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut moved: c_int = 0;
        // SAFETY: the connection is open and used by this thread alone; the call writes one int, and leaves it alone
        // where the file system cannot tell.
        unsafe {
            ffi::sqlite3_file_control(
                connection.handle(),
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_HAS_MOVED,
                (&raw mut moved).cast(),
            );
        }
        if moved == 0 {
            return Ok(());
        }
        Err(StoreError::new(
            ErrorKind::Unavailable,
            format!(
                "writing to {} failed: the file was deleted or replaced while it was open; nothing was stored, close this \
                 driver and make a new one",
                self.location.name()
            ),
        ))
    }

    /// What SQLite said while `doing` something with this database.
    pub(super) fn error(&self, doing: &str, error: &rusqlite::Error) -> StoreError {
        store_error(&format!("{doing} {}", self.location.name()), error)
    }
}

/// Switches a file to write-ahead logging.
pub(super) const ENTER_WAL: &str = "PRAGMA journal_mode = WAL";

/// Whether a file has write-ahead logging.
pub(super) fn is_in_wal(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok(mode == "wal")
}

/// The same as [`Target::patiently`] until `patience` is over.
pub(super) fn within<R>(patience: Duration, mut attempt: impl FnMut() -> rusqlite::Result<R>) -> rusqlite::Result<R> {
    const SHORTEST: Duration = Duration::from_micros(50);
    const LONGEST: Duration = Duration::from_millis(2);
    let start = Instant::now();
    let mut pause = SHORTEST;
    loop {
        match attempt() {
            Err(error) if is_busy(&error) && start.elapsed() < patience => {
                let jitter = start.elapsed().subsec_nanos() % 1000;
                std::thread::sleep(pause * (1000 + jitter) / 2000);
                pause = (pause * 2).min(LONGEST);
            }
            result => return result,
        }
    }
}

/// Creates the file with mode 0600 if there is none: sessions hold source code and tokens. SQLite gives the `-wal` and
/// `-shm` files the mode of the database.
///
/// Only ever with `create_new`: to open and close a database that exists would drop this process's locks on it
/// (<https://www.sqlite.org/howtocorrupt.html>, 2.2).
fn create_private(path: &Path) -> Result<(), StoreError> {
    match private_file().open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::new(
            kind_of_file_error(&error),
            format!(
                "creating {} failed: {error}; check that its directory exists and that this process may write there",
                path.display()
            ),
        )),
    }
}
