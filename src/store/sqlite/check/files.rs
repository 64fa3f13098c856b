//! The files of a database: who may open them, how large the log is, and whether they are where SQLite can be trusted. It only
//! asks the file system about them: to open a database's file and close it again would drop this process's locks on it.

use std::fs;
use std::path::Path;

use super::mounts;
use crate::store::check::{Code, Finding};
use crate::store::partial_file::with_suffix;
use crate::store::sqlite::checkpoints::LARGE;
use crate::store::sqlite::files::LOG;

/// What there is to tell of the files around the database at `path`.
pub(super) fn findings(path: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    // SQLite follows links, and has the log beside the file itself.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let log = with_suffix(&path, LOG);
    #[cfg(unix)]
    findings.extend(rights::findings(&path, &log));
    if let Ok(metadata) = fs::metadata(&log)
        && metadata.len() > 2 * LARGE
    {
        findings.push(Finding::new(
            Code::LargeLog,
            format!("the log {} has {} bytes that are not folded into the file", log.display(), metadata.len()),
            "look for a process that reads for very long, or has stopped in mid-read: nothing after its place can be folded in",
        ));
    }
    if let Some(kind) = mounts::network_file_system(&path) {
        findings.push(Finding::new(
            Code::NetworkFileSystem,
            format!(
                "{} is on a network file system ({kind}), whose locks and shared memory SQLite cannot rely on",
                path.display()
            ),
            "move the file to a local disk, or use Postgres",
        ));
    }
    findings
}

#[cfg(unix)]
mod rights {
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::{Code, Finding, fs, with_suffix};
    use crate::store::sqlite::files::SHARED_MEMORY;

    const STICKY: u32 = 0o1000;

    pub(super) fn findings(path: &Path, log: &Path) -> Vec<Finding> {
        let mut findings = Vec::new();
        for file in [path, log, &with_suffix(path, SHARED_MEMORY)] {
            let Ok(metadata) = fs::metadata(file) else { continue };
            if metadata.mode() & 0o077 != 0 {
                findings.push(Finding::new(
                    Code::OpenToOthers,
                    format!(
                        "{} has mode {:04o}: others than its owner may open it",
                        file.display(),
                        metadata.mode() & 0o7777
                    ),
                    "chmod 600, unless a group of yours is meant to use it",
                ));
            }
            if metadata.nlink() > 1 {
                findings.push(Finding::new(
                    Code::HardLink,
                    format!(
                        "{} has {} names: who opens it by another one uses another log, and damages it",
                        file.display(),
                        metadata.nlink()
                    ),
                    "remove all names but one",
                ));
            }
        }
        if let Some(Ok(metadata)) = path.parent().map(fs::metadata)
            && metadata.mode() & 0o022 != 0
            && metadata.mode() & STICKY == 0
        {
            let directory = path.parent().unwrap_or(path).display();
            findings.push(Finding::new(
                Code::OpenToOthers,
                format!(
                    "the directory {directory} has mode {:04o}: others may put another file in the database's place",
                    metadata.mode() & 0o7777
                ),
                "take the right to write from group and others (chmod go-w)",
            ));
        }
        findings
    }
}
