//! Where a backup is put: it is written beside that place under a name of its own, and gets the place once it is whole.
//!
//! A name like `sessions.db.0123456789abcdef.partial` is given by nobody else. Whoever writes such a file holds a lock on it, which
//! ends with the process; so one without is left of a process that was killed, and the next backup to that place removes it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::BackupRequest;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::sqlite::connection::{Location, private_file};
use crate::store::sqlite::error::kind_of_file_error;

const SUFFIX: &str = ".partial";

/// Files that SQLite keeps beside a database, and takes for a part of it.
const COMPANIONS: [&str; 3] = ["-wal", "-journal", "-shm"];

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
        if let Location::File(own) = source
            && is_of(&path, own)
        {
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
        for companion in &COMPANIONS[..2] {
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

    /// Creates the file that becomes the backup, and removes those of processes that were killed.
    pub(super) fn begin(self) -> Result<Partial, StoreError> {
        self.remove_abandoned();
        loop {
            let path = with_suffix(&self.path, &format!(".{:016x}{SUFFIX}", random()));
            let file = match private_file().read(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(self.failed("creating", &path, &error)),
            };
            // Else somebody took it for abandoned before it was locked, and has removed it.
            if hold(&file, &path) {
                return Ok(Partial {
                    place: self,
                    path,
                    file,
                });
            }
        }
    }

    /// Nobody is harmed by what cannot be removed.
    fn remove_abandoned(&self) {
        let (Some(directory), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return;
        };
        let Ok(entries) = fs::read_dir(directory) else {
            return;
        };
        for entry in entries.flatten() {
            let is_ours =
                is_partial_of(name, &entry.file_name()) && entry.file_type().is_ok_and(|found| found.is_file());
            if is_ours && is_abandoned(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
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
    path: PathBuf,
    file: File,
}

impl Partial {
    pub(super) fn connect(&self, mode: OpenFlags) -> rusqlite::Result<Connection> {
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
        Connection::open_with_flags_and_vfs(&self.path, flags, WITHOUT_LOCKS)
    }

    /// Waits until the disk has what was written.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| self.failed("writing", &error))
    }

    /// All pages are written: makes a file of them that needs no other beside it, and comes back with its size once it is on
    /// the disk.
    pub(super) fn complete(&mut self) -> Result<u64, StoreError> {
        // The version of the format, for writers and for readers: 2 says that there is a log beside the file
        // (<https://www.sqlite.org/fileformat.html>, 1.3.3). With it nobody could read the file where it must not write.
        const VERSION_AT: u64 = 18;
        const WITHOUT_LOG: [u8; 2] = [1, 1];
        let mut complete = || {
            self.file.seek(SeekFrom::Start(VERSION_AT))?;
            self.file.write_all(&WITHOUT_LOG)?;
            self.file.sync_all()?;
            Ok(self.file.metadata()?.len())
        };
        complete().map_err(|error| self.failed("writing", &error))
    }

    /// Gives the backup its place.
    pub(super) fn publish(self) -> Result<(), StoreError> {
        let to = &self.place.path;
        // For whoever has opened something there meanwhile.
        self.place.check_free()?;
        let moved = if self.place.overwrite {
            fs::rename(&self.path, to)
        } else {
            // Unlike a rename, another name for the file never takes that of another one. Not every file system has it.
            match fs::hard_link(&self.path, to) {
                Ok(()) => fs::remove_file(&self.path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(self.place.taken()),
                Err(_) => fs::rename(&self.path, to),
            }
        };
        moved
            .and_then(|()| sync_directory(to))
            .map_err(|error| self.failed("moving", &error))
    }

    fn failed(&self, doing: &str, error: &io::Error) -> StoreError {
        self.place.failed(doing, &self.path, error)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Once it has its place there is none of this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether `path` is the database `own`, or a file that SQLite keeps beside it.
fn is_of(path: &Path, own: &Path) -> bool {
    let real = fs::canonicalize(own).unwrap_or_else(|_| own.to_owned());
    if fs::canonicalize(path).is_ok_and(|path| path == real) || is_same_file(path, own) {
        return true;
    }
    // It need not exist: then its directory does.
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    let path = fs::canonicalize(directory).map_or_else(|_| path.to_owned(), |directory| directory.join(name));
    path == real || COMPANIONS.iter().any(|suffix| path == with_suffix(&real, suffix))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether this is the name of a partial backup to a file called `name`.
fn is_partial_of(name: &OsStr, found: &OsStr) -> bool {
    let digits = found
        .as_encoded_bytes()
        .strip_prefix(name.as_encoded_bytes())
        .and_then(|rest| rest.strip_prefix(b"."))
        .and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    digits.is_some_and(|digits| digits.len() == 16 && digits.iter().all(|digit| b"0123456789abcdef".contains(digit)))
}

/// Another number each time, in each process.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Locks a partial backup for as long as it is open; false if somebody has removed it before. Where files cannot be locked nobody
/// takes one for abandoned.
#[cfg(unix)]
fn hold(file: &File, path: &Path) -> bool {
    file.lock().is_err() || is_at(file, path)
}

/// Whether nobody writes this partial backup any more.
#[cfg(unix)]
fn is_abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok() && is_at(&file, path))
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(file), Ok(found)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (file.dev(), file.ino()) == (found.dev(), found.ino())
}

#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(one), Ok(other)) = (fs::metadata(one), fs::metadata(other)) else {
        return false;
    };
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// There SQLite opens files in a way that nobody can remove them meanwhile.
#[cfg(not(unix))]
fn hold(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn is_abandoned(_path: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn is_same_file(_one: &Path, _other: &Path) -> bool {
    false
}

/// Waits until the disk knows the new name.
#[cfg(unix)]
fn sync_directory(of: &Path) -> io::Result<()> {
    of.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(not(unix))]
fn sync_directory(_of: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_partial_backup_of_that_very_name_is_taken_for_one() {
        let is = |found: &str| is_partial_of(OsStr::new("a.db"), OsStr::new(found));
        assert!(is("a.db.0123456789abcdef.partial"));
        for other in [
            "a.db",
            "a.db.partial",
            "a.db.0123456789abcde.partial",
            "a.db.0123456789abcdef0.partial",
            "a.db.0123456789ABCDEF.partial",
            "a.db.0123456789abcdef.partial-wal",
            "b.a.db.0123456789abcdef.partial",
            "a.db.b.0123456789abcdef.partial",
            "a.db.0123456789abcdeg.partial",
        ] {
            assert!(!is(other), "{other}");
        }
    }
}
