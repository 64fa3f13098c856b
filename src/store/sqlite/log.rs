//! The write-ahead log: how large it is, and whether it only grows. The writer looks after it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::checkpoints::LARGE;
use super::connection::Location;
use crate::store::notices::WarningCode;
use crate::store::statistics::Statistics;

/// How large it may be before somebody is warned: far more than between two checkpoints that nobody is in the way of.
const LARGEST: u64 = 4 * LARGE;

/// How often it is looked at while batches are written.
const PAUSE: Duration = Duration::from_secs(5);

/// Warns when the log does not shrink.
pub(super) struct LogWatch {
    log: Option<PathBuf>,
    next: Instant,
    /// The next size to warn at.
    warn_at: u64,
}

/// How large a log is.
pub(super) fn bytes(log: &Path) -> u64 {
    log.metadata().map_or(0, |metadata| metadata.len())
}

impl LogWatch {
    pub(super) fn new(location: &Location) -> Self {
        Self {
            log: location.log(),
            next: Instant::now(),
            warn_at: LARGEST,
        }
    }

    /// Looks at the log, unless that was done lately. A warning follows another when the log is twice as large.
    pub(super) fn look(&mut self, statistics: &Statistics) {
        let now = Instant::now();
        let (Some(log), true) = (&self.log, now >= self.next) else {
            return;
        };
        self.next = now + PAUSE;
        let bytes = bytes(log);
        if bytes < LARGEST {
            self.warn_at = LARGEST;
        } else if bytes >= self.warn_at {
            self.warn_at = bytes * 2;
            statistics.warn(
                WarningCode::LogNotShrinking,
                format!(
                    "the write-ahead log {} has grown to {} MiB: somebody reads from a state of long ago, or checkpoints are left to \
                     a program that does not make them; end what reads for so long, or see to that program",
                    log.display(),
                    bytes >> 20
                ),
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_log_that_grows_is_told_of_each_time_it_has_doubled_until_it_has_shrunk() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.db");
        let log = File::create(directory.path().join("x.db-wal")).unwrap();
        let mut watch = LogWatch::new(&Location::File(file));
        let statistics = Statistics::new();
        let mut warnings_at = |bytes| {
            log.set_len(bytes).unwrap();
            watch.next = Instant::now();
            watch.look(&statistics);
            statistics.counters().warnings
        };
        let sizes = [LARGEST - 1, LARGEST, LARGEST + 1, 2 * LARGEST, 0, LARGEST];
        assert_eq!(sizes.map(&mut warnings_at), [0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn a_database_in_memory_has_none() {
        let mut watch = LogWatch::new(&Location::Memory(String::new()));
        let statistics = Statistics::new();
        watch.look(&statistics);
        assert_eq!(statistics.counters().warnings, 0);
    }
}
