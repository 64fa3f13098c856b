//! Room in the write-ahead log for the commits to come. The writer calls it, in each of its transactions.

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use rusqlite::{Connection, ffi};

/// How much room is made at a time, as many writes of so many bytes; SQLite writes less than 128 KiB at a time. A commit of
/// one event takes 8 KiB.
const WRITES: usize = 8;
const WRITE_BYTES: u16 = 32 << 10;
static ZEROS: [u8; WRITE_BYTES as usize] = [0; WRITE_BYTES as usize];

/// A commit that makes the log longer by more than this gains less than the zeros cost.
const SMALL: i64 = 32 << 10;

/// Keeps zeros after the log's end, for small commits to write over.
///
/// When a file has become longer, syncing it makes the file system commit its own journal as well, which takes as long
/// as the sync itself. SQLite does not mind what follows the last frame: it may as well be what an earlier round of the
/// log has left there.
#[derive(Debug)]
pub(super) struct LogRoom {
    /// How long the log was when it was last looked at.
    bytes: i64,
}

impl LogRoom {
    /// None for a database without a write-ahead log; it stays so as long as the connection is open, because nobody can
    /// switch it while others are connected.
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        let mode: rusqlite::Result<String> = connection.pragma_query_value(None, "journal_mode", |row| row.get(0));
        (mode.as_deref() == Ok("wal")).then_some(Self { bytes: 0 })
    }

    /// Makes room if a small commit found none. Only inside of a transaction that writes: then nobody else adds to the log.
    ///
    /// Nothing depends on it, so failures are left to the commit.
    pub(super) fn make(&mut self, connection: &Connection) {
        let Some(log) = LogFile::of(connection) else {
            return;
        };
        let Some(bytes) = log.bytes() else {
            return;
        };
        let grown = bytes - self.bytes;
        self.bytes = bytes;
        if (1..=SMALL).contains(&grown) {
            self.bytes = log.append_zeros(bytes);
        }
    }
}

/// The log, as SQLite has opened it.
struct LogFile(NonNull<ffi::sqlite3_file>);

impl LogFile {
    fn of(connection: &Connection) -> Option<Self> {
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        // SAFETY: the connection is open and used by this thread alone; the call writes one pointer.
        unsafe {
            ffi::sqlite3_file_control(
                connection.handle(),
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_JOURNAL_POINTER,
                (&raw mut file).cast(),
            );
        }
        NonNull::new(file).map(Self)
    }

    fn methods(&self) -> Option<&ffi::sqlite3_io_methods> {
        // SAFETY: SQLite keeps its files as long as the connection; one that is not open has no methods.
        unsafe { self.0.as_ref().pMethods.as_ref() }
    }

    fn bytes(&self) -> Option<i64> {
        let file_size = self.methods()?.xFileSize?;
        let mut bytes = 0;
        // SAFETY: the file is open, and the call writes one number.
        let code = unsafe { file_size(self.0.as_ptr(), &raw mut bytes) };
        (code == ffi::SQLITE_OK).then_some(bytes)
    }

    /// Writes zeros after its end, and says where they end.
    fn append_zeros(&self, mut end: i64) -> i64 {
        let Some(write) = self.methods().and_then(|methods| methods.xWrite) else {
            return end;
        };
        for _ in 0..WRITES {
            // SAFETY: the file is open, and the call reads as many bytes as there are zeros.
            let code = unsafe { write(self.0.as_ptr(), ZEROS.as_ptr().cast(), c_int::from(WRITE_BYTES), end) };
            if code != ffi::SQLITE_OK {
                break;
            }
            end += i64::from(WRITE_BYTES);
        }
        end
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    fn log_bytes(database: &Path) -> u64 {
        database.with_extension("db-wal").metadata().unwrap().len()
    }

    fn insert(connection: &Connection, room: &mut LogRoom, number: i64) {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection.execute("INSERT INTO numbers VALUES (?1)", [number]).unwrap();
        room.make(connection);
        connection.execute_batch("COMMIT").unwrap();
    }

    fn numbers(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))
            .unwrap()
    }

    fn open_with_log(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE numbers (number)")
            .unwrap();
        connection
    }

    #[test]
    fn small_commits_write_over_room_and_all_are_found_after_a_crash() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("room.db");
        let connection = open_with_log(&path);
        let mut room = LogRoom::of(&connection).unwrap();
        let lengths: Vec<u64> = (0..10)
            .map(|number| {
                insert(&connection, &mut room, number);
                log_bytes(&path)
            })
            .collect();
        assert_eq!(lengths[5..], [lengths[5]; 5]);

        // What a crash leaves behind: both files, without the log's index.
        let copy = directory.path().join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        std::fs::copy(path.with_extension("db-wal"), copy.with_extension("db-wal")).unwrap();
        assert_eq!(numbers(&Connection::open(&copy).unwrap()), 10);
    }

    #[test]
    fn what_others_commit_in_between_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("room.db");
        let first = open_with_log(&path);
        let second = Connection::open(&path).unwrap();
        let mut rooms = [LogRoom::of(&first).unwrap(), LogRoom::of(&second).unwrap()];
        for number in 0..200 {
            insert(&first, &mut rooms[0], number);
            insert(&second, &mut rooms[1], number);
        }
        assert_eq!(numbers(&first), 400);
        assert_eq!(numbers(&second), 400);
    }

    #[test]
    fn a_rollback_journal_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("room.db")).unwrap();
        assert!(LogRoom::of(&connection).is_none());
    }
}
