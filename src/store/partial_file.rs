//! A file that others see only once it is whole: it is written beside its place under a name of its own, and gets the place at the end.
//! Backups of SQLite databases are, and what `cli` exports.
//!
//! A name like `sessions.db.0123456789abcdef.partial` is given by nobody else. Whoever writes such a file holds a lock on it, which
//! ends with the process; so one without is left of a process that was killed, and the next one to that place removes it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

const SUFFIX: &str = ".partial";

/// See the module's description. It is removed when it is dropped before it has its place.
#[derive(Debug)]
pub struct PartialFile {
    place: PathBuf,
    path: PathBuf,
    file: File,
}

/// What becomes of a file that is at the place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// It stays: [`PartialFile::publish`] fails with [`AlreadyExists`](io::ErrorKind::AlreadyExists).
    Refused,
    /// It is replaced. A link is replaced too, and never followed.
    Wanted,
}

/// Creating a partial file has failed.
#[derive(Debug)]
pub struct NotCreated {
    /// The file that could not be created.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl PartialFile {
    /// Creates a file for that place, which nobody else may read, and removes those of processes that were killed.
    pub fn create(place: &Path) -> Result<Self, NotCreated> {
        remove_abandoned(place);
        loop {
            let path = with_suffix(place, &format!(".{:016x}{SUFFIX}", random()));
            let file = match private_file().read(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(NotCreated { path, error }),
            };
            // Else somebody took it for abandoned before it was locked, and has removed it.
            if hold(&file, &path) {
                return Ok(Self {
                    place: place.to_owned(),
                    path,
                    file,
                });
            }
        }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is until it has its place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its place. The file itself must be on the disk already.
    pub fn publish(self, replacement: Replacement) -> io::Result<()> {
        match replacement {
            Replacement::Wanted => fs::rename(&self.path, &self.place)?,
            // Unlike a rename, another name for the file never takes that of another one. Not every file system has it.
            Replacement::Refused => match fs::hard_link(&self.path, &self.place) {
                Ok(()) => fs::remove_file(&self.path)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) if fs::symlink_metadata(&self.place).is_ok() => return Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) => fs::rename(&self.path, &self.place)?,
            },
        }
        sync_directory(&self.place)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // Once it has its place there is none of this name.
        let _ = fs::remove_file(&self.path);
    }
}

/// How a file is created that nobody else may read.
#[must_use]
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The path of the file whose name has this at its end, too.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Nobody is harmed by what cannot be removed.
fn remove_abandoned(place: &Path) {
    let (Some(directory), Some(name)) = (directory_of(place), place.file_name()) else {
        return;
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = is_partial_of(name, &entry.file_name()) && entry.file_type().is_ok_and(|found| found.is_file());
        if is_ours && is_abandoned(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The directory of a file. That of a bare name is the working directory.
#[must_use]
pub fn directory_of(path: &Path) -> Option<&Path> {
    let directory = path.parent()?;
    Some(if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    })
}

/// Whether this is the name of a partial file for one called `name`.
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

/// Locks a partial file for as long as it is open; false if somebody has removed it before. Where files cannot be locked nobody
/// takes one for abandoned.
#[cfg(unix)]
fn hold(file: &File, path: &Path) -> bool {
    file.lock().is_err() || is_at(file, path)
}

/// Whether nobody writes this partial file any more.
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

/// There files are open in a way that nobody can remove them meanwhile.
#[cfg(not(unix))]
fn hold(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn is_abandoned(_path: &Path) -> bool {
    true
}

/// Waits until the disk knows the new name.
#[cfg(unix)]
fn sync_directory(of: &Path) -> io::Result<()> {
    directory_of(of).map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(not(unix))]
fn sync_directory(_of: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_partial_file_of_that_very_name_is_taken_for_one() {
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
