//! A file to read, twice: a file of the user's, or what comes from stdin, which is kept in a temporary file meanwhile.

use std::fs::{self, File};
use std::io::{self, BufRead, Seek, Write};
use std::path::Path;

use thiserror::Error;

use super::compression::decompressed;
use crate::cli::failure::Failure;
use crate::cli::stop::Stop;
use crate::cli::text::Printable;

/// What stands for stdin.
const STDIN: &str = "-";

/// See the module's description.
pub(in crate::cli) struct Input {
    file: File,
    name: String,
}

/// What is in a file cannot be read.
#[derive(Debug, Error)]
pub(in crate::cli) enum Unreadable {
    #[error("the file was cut off: what is compressed has no end")]
    CutOff,
    #[error("the file is damaged, or compressed in a way that takes too much memory (`zstd -19` is the most): {0}")]
    Damaged(io::Error),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::CutOff;
        }
        Self::Damaged(error)
    }
}

impl Input {
    /// Opens the file at this path, or takes all of stdin.
    pub(in crate::cli) fn open(path: &Path, stop: &Stop) -> Result<Self, Failure> {
        if path.as_os_str() == STDIN {
            return Ok(Self {
                file: spool(stop)?,
                name: String::from("stdin"),
            });
        }
        let name = path.display().to_string();
        let unreadable = |error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Failed(format!("there is no file {name}")),
            _ => Failure::Failed(format!("reading {name} failed: {error}")),
        };
        // A pipe would be waited for, and a device may have no end.
        if !fs::metadata(path).map_err(|error| unreadable(&error))?.is_file() {
            return Err(Failure::Usage(format!(
                "{name} is no file: write {STDIN} to read what another program prints"
            )));
        }
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        Ok(Self { file, name })
    }

    /// What it is called in messages.
    pub(in crate::cli) fn name(&self) -> &str {
        &self.name
    }

    /// What is in it, decompressed, from its beginning. There is one reader at a time.
    pub(super) fn read(&self) -> Result<Box<dyn BufRead + Send>, Failure> {
        let read = || {
            let mut file = self.file.try_clone()?;
            file.rewind()?;
            decompressed(file)
        };
        read().map_err(|error: io::Error| Failure::Failed(format!("reading {} failed: {error}", self.name)))
    }
}

/// Keeps what comes from stdin in a temporary file that has no name.
fn spool(stop: &Stop) -> Result<File, Failure> {
    let failed = |error: io::Error| {
        Failure::Failed(format!(
            "keeping stdin in a temporary file in {} failed: {error}; TMPDIR names another directory",
            Printable(&std::env::temp_dir().display().to_string())
        ))
    };
    let mut file = tempfile::tempfile().map_err(failed)?;
    // It may never end, and nothing has been done yet.
    let spooled = stop.while_asking(|| io::copy(&mut io::stdin().lock(), &mut file));
    spooled.ok_or_else(|| Failure::Stopped(stop.code()))?.map_err(failed)?;
    file.flush().map_err(failed)?;
    Ok(file)
}
