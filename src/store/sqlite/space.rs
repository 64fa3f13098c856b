//! Gives the space of what was removed back to the file system. `write` calls it.
//!
//! A file of ours is made so that free pages can be given back step by step. One that was made without that must be written anew,
//! which SQLite can do beside readers, but not beside writers.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::connection::{Location, Target};
use crate::store::error::{ErrorKind, StoreError};
use crate::store::{Answer, JobAnswer};

/// How long a step moves pages, which then takes several times as long to commit. Others can write again after that.
const TIME: Duration = Duration::from_millis(2);

/// SQLite's number for free pages that are kept.
const KEPT: i64 = 0;

/// Has a database give its free pages back step by step.
pub(super) const GIVE_BACK_IN_STEPS: &str = "PRAGMA auto_vacuum = INCREMENTAL";

/// Makes a database that has nothing in it yet one that gives free pages back step by step.
pub(super) fn will_give_back(connection: &Connection) -> rusqlite::Result<()> {
    if is_empty(connection)? {
        connection.execute_batch(GIVE_BACK_IN_STEPS)?;
    }
    Ok(())
}

/// Whether a database has nothing in it yet.
pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(pages(connection)? == 0)
}

/// Gives some free pages back, in the transaction that is open.
pub(super) fn give_back(connection: &Connection) -> rusqlite::Result<Answer> {
    let began = Instant::now();
    let before = pages(connection)?;
    let mut vacuum = connection.prepare_cached("PRAGMA incremental_vacuum")?;
    // Each row is a page that was given back.
    let mut rows = vacuum.query([])?;
    let mut is_more = false;
    while rows.next()?.is_some() {
        if began.elapsed() >= TIME {
            is_more = true;
            break;
        }
    }
    drop(rows);
    freed(connection, before, is_more)
}

/// Writes the whole database anew if it keeps its free pages, and has it give them back in steps from now on.
pub(super) fn vacuum(connection: &Connection) -> rusqlite::Result<Answer> {
    let before = pages(connection)?;
    if keeps_free_pages(connection)? {
        connection.execute_batch(GIVE_BACK_IN_STEPS)?;
        connection.execute_batch("VACUUM")?;
    }
    freed(connection, before, false)
}

/// Refuses to write the database anew where there is no room for that.
///
/// SQLite writes what is in use to a temporary file, and from there to the write-ahead log.
pub(super) fn check_room(connection: &Connection, target: &Target, doing: &str) -> Result<(), StoreError> {
    let Location::File(path) = &target.location else {
        return Ok(());
    };
    let needed = target
        .patiently(|| {
            Ok(if keeps_free_pages(connection)? {
                bytes(connection, pages(connection)? - number(connection, "freelist_count")?)?
            } else {
                0
            })
        })
        .map_err(|error| target.error("looking at the size of", &error))?;
    let (temporary, directory) = (temporary_directory(), path.parent().unwrap_or(path));
    let is_one = are_of_one_file_system(&temporary, directory);
    let rooms: &[(&Path, u64)] = if is_one {
        &[(directory, 2 * needed)]
    } else {
        &[(directory, needed), (&temporary, needed)]
    };
    for (place, needed) in rooms {
        // Where nobody says how much is free, SQLite will find out.
        let free = fs4::available_space(place).unwrap_or(u64::MAX);
        if free < *needed {
            return Err(StoreError::new(
                ErrorKind::Full,
                format!(
                    "{doing} failed: it needs {needed} bytes of free disk space in {} and there are {free}; nothing was changed, make \
                     room and call again",
                    place.display()
                ),
            ));
        }
    }
    Ok(())
}

/// Where SQLite puts temporary files (<https://www.sqlite.org/tempfiles.html>, 5).
fn temporary_directory() -> PathBuf {
    let of_environment = ["SQLITE_TMPDIR", "TMPDIR"].into_iter().filter_map(std::env::var_os);
    let candidates = of_environment.map(PathBuf::from);
    let candidates = candidates.chain(["/var/tmp", "/usr/tmp", "/tmp"].map(PathBuf::from));
    let is_writable = |path: &PathBuf| {
        path.metadata()
            .is_ok_and(|found| found.is_dir() && !found.permissions().readonly())
    };
    #[cfg(unix)]
    let found = { candidates }.find(is_writable);
    #[cfg(not(unix))]
    let found = None::<PathBuf>;
    found.unwrap_or_else(std::env::temp_dir)
}

#[cfg(unix)]
fn are_of_one_file_system(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    device(a) == device(b)
}

#[cfg(not(unix))]
fn are_of_one_file_system(a: &Path, b: &Path) -> bool {
    a.components().next() == b.components().next()
}

fn keeps_free_pages(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(number(connection, "auto_vacuum")? == KEPT)
}

fn freed(connection: &Connection, pages_before: i64, is_more: bool) -> rusqlite::Result<Answer> {
    Ok(Answer::OfJob(JobAnswer::Freed {
        bytes: bytes(connection, pages_before - pages(connection)?)?,
        is_more,
        took: Duration::ZERO,
    }))
}

fn pages(connection: &Connection) -> rusqlite::Result<i64> {
    number(connection, "page_count")
}

fn bytes(connection: &Connection, pages: i64) -> rusqlite::Result<u64> {
    Ok(u64::try_from(pages * number(connection, "page_size")?).unwrap_or(0))
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}
