//! Where a backup is put, and whether it may be: not upon the database itself, nor where SQLite would take another file for a part of it.

use std::fs;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::BackupRequest;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::partial_file::{NotCreated, PartialFile, Replacement, with_suffix};
use crate::store::sqlite::connection::Location;
use crate::store::sqlite::error::kind_of_file_error;
use crate::store::sqlite::files::{JOURNAL, LOG};

/// Nobody else opens a file that is not whole. SQLite's own locks would meet the one that shows that somebody writes it.
const WITHOUT_LOCKS: &str = if cfg!(windows) { "win32-none" } else { "unix-none" };

/// See the module's description.
pub(super) struct Place {
    path: PathBuf,
    overwrite: bool,
}

impl Place {
    /// The place that was asked for, if a backup of the database may be put there.
    pub(super) fn of(request: &BackupRequest, source: &Location) -> Result<Self, StoreError> {
        let BackupRequest { path, overwrite } = request.clone();
        if path.file_name().is_none() {
            return Err(StoreError::invalid(format!(
                "path must be the path of a file, {} is none",
                path.display()
            )));
        }
        if source.has_file(&path) {
            return Err(StoreError::invalid(format!(
                "path must not be the file that is backed up, or one that belongs to it, as {} does; choose another one",
                path.display()
            )));
        }
        let place = Self { path, overwrite };
        place.check_free()?;
        Ok(place)
    }

    fn check_free(&self) -> Result<(), StoreError> {
        match fs::symlink_metadata(&self.path) {
            // A link is replaced, never followed.
            Ok(found) if !found.is_file() && !found.is_symlink() => {
                let what = if found.is_dir() {
                    "a directory"
                } else {
                    "something else"
                };
                return Err(StoreError::invalid(format!(
                    "path must be the path of a file, {} is {what}",
                    self.path.display()
                )));
            }
            Ok(_) if !self.overwrite => return Err(self.taken()),
            _ => {}
        }
        for companion in [LOG, JOURNAL] {
            let companion = with_suffix(&self.path, companion);
            if fs::symlink_metadata(&companion).is_ok_and(|found| found.len() > 0) {
                return Err(StoreError::invalid(format!(
                    "a backup to {} would be damaged by {}, which SQLite would take for a part of it: a database of that name is \
                     open, or was not closed; close it, or remove that file, and call again",
                    self.path.display(),
                    companion.display()
                )));
            }
        }
        Ok(())
    }

    fn taken(&self) -> StoreError {
        StoreError::invalid(format!(
            "there is a file at {} already; choose another path, or pass overwrite: true to replace it",
            self.path.display()
        ))
    }

    /// Creates the file that becomes the backup.
    pub(super) fn begin(self) -> Result<Partial, StoreError> {
        match PartialFile::create(&self.path) {
            Ok(file) => Ok(Partial { place: self, file }),
            Err(NotCreated { path, error }) => Err(self.failed("creating", &path, &error)),
        }
    }

    fn failed(&self, doing: &str, path: &Path, error: &io::Error) -> StoreError {
        let kind = kind_of_file_error(error);
        if kind == ErrorKind::Full {
            return full(&format!("{doing} {}", path.display()));
        }
        StoreError::new(
            kind,
            format!(
                "{doing} {} failed: {error}; check that its directory exists and that this process may write there; nothing was changed \
                 at {}",
                path.display(),
                self.path.display()
            ),
        )
    }
}

/// There is no room for the backup.
pub(super) fn full(doing: &str) -> StoreError {
    StoreError::new(
        ErrorKind::Full,
        format!("{doing} failed: the disk is full; nothing was left of the backup, make room and call again"),
    )
}

/// A backup that is not whole. It is removed when it is dropped.
pub(super) struct Partial {
    place: Place,
    file: PartialFile,
}

impl Partial {
    pub(super) fn connect(&self, mode: OpenFlags) -> rusqlite::Result<Connection> {
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
        Connection::open_with_flags_and_vfs(self.file.path(), flags, WITHOUT_LOCKS)
    }

    /// Waits until the disk has what was written.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let synced = self.file.file().sync_data();
        synced.map_err(|error| self.failed("writing", &error))
    }

    /// All pages are written: makes a file of them that needs no other beside it, and comes back with its size once it is on
    /// the disk.
    pub(super) fn complete(&self) -> Result<u64, StoreError> {
        // The version of the format, for writers and for readers: 2 says that there is a log beside the file
        // (<https://www.sqlite.org/fileformat.html>, 1.3.3). With it nobody could read the file where it must not write.
        const VERSION_AT: u64 = 18;
        const WITHOUT_LOG: [u8; 2] = [1, 1];
        let mut file = self.file.file();
        let mut complete = || {
            file.seek(SeekFrom::Start(VERSION_AT))?;
            file.write_all(&WITHOUT_LOG)?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        complete().map_err(|error| self.failed("writing", &error))
    }

    /// Gives the backup its place.
    pub(super) fn publish(self) -> Result<(), StoreError> {
        let Self { place, file } = self;
        // For whoever has opened something there meanwhile.
        place.check_free()?;
        let path = file.path().to_owned();
        let replacement = if place.overwrite {
            Replacement::Wanted
        } else {
            Replacement::Refused
        };
        file.publish(replacement).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => place.taken(),
            _ => place.failed("moving", &path, &error),
        })
    }

    fn failed(&self, doing: &str, error: &io::Error) -> StoreError {
        self.place.failed(doing, self.file.path(), error)
    }
}
