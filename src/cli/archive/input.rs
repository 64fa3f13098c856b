//! A file to read, twice: a file of the user's, or what comes from stdin, which is kept in a temporary file meanwhile.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use super::compression::decompressed;
use crate::cli::failure::Failure;
use crate::cli::progress::{HowFar, Progress, Unit};
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
        self.rewound()
            .and_then(decompressed)
            .map_err(|error| self.unreadable(&error))
    }

    /// The same, which fails once the user wants it to end: a line may go on for long.
    pub(super) fn read_while_wanted(&self, stop: &Arc<Stop>) -> Result<Box<dyn BufRead + Send>, Failure> {
        let wanted = |file| Wanted {
            file,
            stop: Arc::clone(stop),
        };
        let read = self.rewound().and_then(|file| decompressed(wanted(file)));
        read.map_err(|error| {
            if stop.is_requested() {
                return Failure::Stopped(stop.code());
            }
            self.unreadable(&error)
        })
    }

    fn rewound(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::Failed(format!("reading {} failed: {error}", self.name))
    }

    /// How much of the file itself was read, and how much there is.
    pub(super) fn how_far(&self) -> io::Result<(u64, u64)> {
        Ok(((&self.file).stream_position()?, self.file.metadata()?.len()))
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
    let spooled = stop.while_asking(|| copy_stdin(&mut file));
    spooled.ok_or_else(|| Failure::Stopped(stop.code()))?.map_err(failed)?;
    file.flush().map_err(failed)?;
    Ok(file)
}

fn copy_stdin(file: &mut File) -> io::Result<()> {
    let progress = Progress::of(&|bytes: &u64| HowFar {
        done: *bytes,
        total: None,
        unit: Unit::Bytes,
    });
    let mut stdin = io::stdin().lock();
    let mut copied = 0;
    loop {
        let bytes = stdin.fill_buf()?;
        let count = bytes.len();
        if count == 0 {
            return Ok(());
        }
        file.write_all(bytes)?;
        stdin.consume(count);
        copied += count as u64;
        progress.show(&copied);
    }
}

/// A file, as long as the user wants it to be read.
struct Wanted {
    file: File,
    stop: Arc<Stop>,
}

impl Read for Wanted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_requested() {
            return Err(io::Error::other("nobody wants it any more"));
        }
        self.file.read(bytes)
    }
}
