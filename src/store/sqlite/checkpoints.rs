//! When the write-ahead log is copied into the file (a checkpoint), so that it begins anew and does not grow.
//!
//! SQLite does it by itself, after a commit with which the log is full, in a way that waits for nobody. But the log can begin anew
//! only at a moment when no reader needs it, and when readers overlap there is none: then it grows for as long as they do, and
//! SQLite tries at each commit, at two more fsyncs. So once the log is large the writer makes such a moment now and then: it
//! copies all, after which new readers need the file alone, and waits for those that read already.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

/// With how much the log is full, in bytes. With SQLite's 1,000 pages, 512 sessions fill it in two batches, and each page is
/// copied every time; with this they write a third more.
const FULL: u64 = 32 << 20;

/// What the log is cut to, in bytes, when it begins anew after a burst. A larger one is one that could not begin anew.
pub(super) const LARGE: u64 = 2 * FULL;

/// How long the writer waits for readers when the log has become large; with one of double the size, four times as long. So
/// what readers cost is small beside the time that the log took to grow, and in the end it is longer than they read.
const PATIENCE: Duration = Duration::from_millis(25);

/// What steps of jobs add in this time is copied together: a copy takes two syncs, however little there is.
const WORTH_COPYING: Duration = Duration::from_millis(20);

/// Who copies the log into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checkpoints {
    /// The driver.
    #[default]
    Automatic,
    /// Another program, such as Litestream. The driver leaves the log alone, also when it closes.
    External,
}

/// Tells SQLite when the log of this connection's writes is full, and how far it is cut.
pub(super) fn set_up(connection: &Connection, who: Checkpoints) -> rusqlite::Result<()> {
    set_automatic(connection, who == Checkpoints::Automatic)?;
    connection.pragma_update(None, "journal_size_limit", LARGE.cast_signed())
}

fn set_automatic(connection: &Connection, is_on: bool) -> rusqlite::Result<()> {
    let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = if is_on {
        FULL / u64::from(page_bytes.max(512))
    } else {
        0
    };
    connection.pragma_update(None, "wal_autocheckpoint", pages.cast_signed())
}

/// The log, as the writer looks at it after each batch.
pub(super) struct Log {
    /// Where it is, if it is this driver that copies it.
    path: Option<PathBuf>,
    /// Whether SQLite copies it by itself.
    is_automatic: bool,
    /// How large it was when it last should have begun anew.
    tried: u64,
    /// How long the steps of jobs took that it was not copied after.
    steps: Duration,
}

impl Log {
    /// The log at this path, if there is one, and who copies it.
    pub(super) fn new(path: Option<PathBuf>, who: Checkpoints) -> Self {
        Self {
            path: path.filter(|_| who == Checkpoints::Automatic),
            is_automatic: true,
            tried: 0,
            steps: Duration::ZERO,
        }
    }

    /// Copies what steps of jobs have added to it, of which the last took so long. Such steps change many pages: left to SQLite,
    /// whoever's commit fills the log would have to wait until all of them are copied.
    pub(super) fn copy_steps(&mut self, connection: &Connection, step_took: Duration) -> rusqlite::Result<()> {
        self.steps += step_took;
        if self.path.is_none() || self.steps < WORTH_COPYING {
            return Ok(());
        }
        self.steps = Duration::ZERO;
        connection
            .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
            .query_row([], |_| Ok(()))
    }

    /// Has it begin anew if it is large, and no reader keeps it from that for `longest`. Without that nothing is tried, since
    /// this driver itself reads for long, and has it copied when it has done so.
    pub(super) fn keep_small(&mut self, connection: &Connection, longest: Option<Duration>) -> rusqlite::Result<()> {
        let Some(bytes) = self.path.as_ref().and_then(|log| Some(fs::metadata(log).ok()?.len())) else {
            return Ok(());
        };
        let is_large = bytes > LARGE;
        if self.is_automatic == is_large {
            set_automatic(connection, !is_large)?;
            self.is_automatic = !is_large;
        }
        match longest {
            Some(longest) if is_large && bytes >= self.tried + self.tried / 4 => {
                self.tried = bytes;
                restart(connection, patience(bytes).min(longest))
            }
            _ => {
                if !is_large {
                    self.tried = 0;
                }
                Ok(())
            }
        }
    }
}

/// Copies as much of the log as nobody needs any more, while others write. So there is less of it to copy where they wait.
pub(super) fn copy_beside(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Copies the log into the file, and has it begin anew unless somebody reads for longer than `patience`. Then it is cut by the
/// next commit.
fn restart(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(patience)?;
    let tried = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()));
    connection.busy_timeout(Duration::ZERO)?;
    tried
}

fn patience(bytes: u64) -> Duration {
    // In MiB, so that the square of any size is within the limits.
    let (size, large) = (bytes >> 20, LARGE >> 20);
    let times = size.saturating_mul(size) / large;
    PATIENCE.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX)) / u32::try_from(large).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_the_log_the_longer_it_waits() {
        assert_eq!(patience(LARGE), PATIENCE);
        assert_eq!(patience(LARGE + LARGE / 2), PATIENCE * 9 / 4);
        assert_eq!(patience(8 * LARGE), PATIENCE * 64);
        assert!(patience(1 << 40) > Duration::from_secs(60));
    }
}
