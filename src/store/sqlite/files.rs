//! The files of a database: the one at its path, and those that SQLite keeps beside it and takes for a part of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::connection::Location;
use crate::store::partial_file::{directory_of, with_suffix};

/// How the name of the write-ahead log ends.
pub(super) const LOG: &str = "-wal";

/// How the name of what undoes a transaction ends, where there is no such log.
pub(super) const JOURNAL: &str = "-journal";

/// How the name of the memory that processes share ends.
pub(super) const SHARED_MEMORY: &str = "-shm";

impl Location {
    /// The write-ahead log, if there is one.
    pub(super) fn log(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(with_suffix(path, LOG)),
            Self::Memory(_) => None,
        }
    }

    /// Whether this is one of the files of the database. It need not be there.
    pub(super) fn has_file(&self, path: &Path) -> bool {
        match self {
            Self::File(own) => is_of(path, own),
            Self::Memory(_) => false,
        }
    }
}

fn is_of(path: &Path, own: &Path) -> bool {
    let real = fs::canonicalize(own).unwrap_or_else(|_| own.to_owned());
    if fs::canonicalize(path).is_ok_and(|path| path == real) || is_same_file(path, own) {
        return true;
    }
    // It need not exist: then its directory does.
    let (Some(directory), Some(name)) = (directory_of(path), path.file_name()) else {
        return false;
    };
    let path = fs::canonicalize(directory).map_or_else(|_| path.to_owned(), |directory| directory.join(name));
    let mut beside = [LOG, JOURNAL, SHARED_MEMORY].iter();
    path == real || beside.any(|suffix| path == with_suffix(&real, suffix))
}

#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(one), Ok(other)) = (fs::metadata(one), fs::metadata(other)) else {
        return false;
    };
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same_file(_one: &Path, _other: &Path) -> bool {
    false
}
