//! Where a file is written to: stdout, or a place that it gets once it is whole, which nobody else may read.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::compression::{Compression, Encoder};
use crate::cli::failure::Failure;
use crate::cli::stdout::Stdout;
use crate::store::partial_file::{NotCreated, PartialFile, Replacement};

/// A place for a file.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Place {
    path: PathBuf,
    replacement: Replacement,
}

/// See the module's description. A file that is not published is removed.
pub(in crate::cli) struct Output {
    encoder: Encoder<Destination>,
    place: Option<Place>,
}

enum Destination {
    Stdout(Stdout),
    File(PartialFile, Replacement),
}

impl Place {
    /// The place, if a file may be put there.
    pub(in crate::cli) fn of(path: &Path, force: bool) -> Result<Self, Failure> {
        let replacement = if force {
            Replacement::Wanted
        } else {
            Replacement::Refused
        };
        let place = Self {
            path: path.to_owned(),
            replacement,
        };
        if path.file_name().is_none() || path.is_dir() {
            return Err(Failure::Usage(format!("--output {} is no file", path.display())));
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() && !found.is_symlink() => {
                Err(Failure::Usage(format!("--output {} is no file", path.display())))
            }
            Ok(_) if !force => Err(place.taken()),
            _ => Ok(place),
        }
    }

    fn taken(&self) -> Failure {
        Failure::Failed(format!(
            "there is a file at {} already: choose another one, or add --force to replace it",
            self.path.display()
        ))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::Failed(format!(
            "writing {} failed: {error}; check that its directory exists, that this process may write there, and that there is room; \
             nothing was left there",
            self.path.display()
        ))
    }
}

impl Output {
    /// What is written goes to stdout, if people do not see it: no terminal is to get what agents have printed.
    pub(in crate::cli) fn stdout(compression: Option<Compression>) -> Result<Self, Failure> {
        if io::stdout().is_terminal() {
            return Err(Failure::Usage(String::from(
                "sessions are not exported to a terminal: name a file with --output, or pass them on to another program",
            )));
        }
        Ok(Self {
            encoder: Encoder::new(Destination::Stdout(Stdout::of_process()), compression)?,
            place: None,
        })
    }

    /// What is written goes to a file, compressed as its name says.
    pub(in crate::cli) fn file(place: Place) -> Result<Self, Failure> {
        let compression = Compression::of_name(&place.path);
        let file = PartialFile::create(&place.path).map_err(|NotCreated { error, .. }| place.failed(&error))?;
        Ok(Self {
            encoder: Encoder::new(Destination::File(file, place.replacement), compression)?,
            place: Some(place),
        })
    }

    /// What it is called in messages.
    pub(in crate::cli) fn name(&self) -> String {
        self.place
            .as_ref()
            .map_or_else(|| String::from("stdout"), |place| place.path.display().to_string())
    }

    /// What writing to it has failed with, for the user.
    pub(in crate::cli) fn failed(&self, error: io::Error) -> Failure {
        match &self.place {
            Some(place) => place.failed(&error),
            None => error.into(),
        }
    }

    /// All is written: gives the file its place.
    pub(in crate::cli) fn publish(self) -> Result<(), Failure> {
        let Self { encoder, place } = self;
        let published = encoder.finish().and_then(|destination| match destination {
            Destination::Stdout(mut stdout) => stdout.flush(),
            Destination::File(file, replacement) => {
                file.file().sync_all()?;
                file.publish(replacement)
            }
        });
        published.map_err(|error| match place {
            Some(place) if error.kind() == io::ErrorKind::AlreadyExists => place.taken(),
            Some(place) => place.failed(&error),
            None => error.into(),
        })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file, _) => file.file().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(..) => Ok(()),
        }
    }
}
