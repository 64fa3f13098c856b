//! How a command ends that has not done its work: exit codes, and one line on stderr.

use std::io;

use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
use thiserror::Error;

use super::option_names;
use super::stderr::say;
use super::stop::Stop;
use super::text::Printable;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::jobs::Ended;

/// The exit code of a command that failed.
const FAILED: u8 = 1;

/// The exit code of arguments that are wrong.
const WRONG_USE: u8 = 2;

/// The exit code where there is no such session, or no such store.
const NOT_FOUND: u8 = 3;

/// Why a command has not done its work.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// The store has failed.
    #[error("{}", .0.message.text(option_names::name))]
    Store(#[from] StoreError),
    /// The arguments are wrong. The text says how to mend them.
    #[error("{0}")]
    Usage(String),
    /// There is no such session, or no such store.
    #[error("{0}")]
    NotFound(String),
    /// Something else. The text says what was being done, to what, and what to do now.
    #[error("{0}")]
    Failed(String),
    /// Nobody reads what is printed, as with `| head`.
    #[error("nobody reads the output")]
    NobodyReads,
    /// The user has ended it; with this exit code.
    #[error("ended")]
    Stopped(u8),
    /// The user has ended what only reads, with this exit code: there is nothing that could be half done.
    #[error("ended")]
    StoppedReading(u8),
}

/// Says in one line what is wrong with these arguments, and returns the exit code.
pub(super) fn wrong_use(error: &clap::Error, arguments: &[String]) -> u8 {
    if matches!(
        error.kind(),
        DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand
    ) {
        say("error: there is no command to run (--help lists all commands)");
        return WRONG_USE;
    }
    let text = without_urls(error.render().to_string(), arguments);
    let problems = text
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"));
    let problems: Vec<String> = problems.collect();
    say(format_args!("{} (--help says more)", Printable(&problems.join("; "))));
    WRONG_USE
}

/// The text of an error that shows what was written, which may be a store in the wrong place: that may hold a password.
fn without_urls(text: String, arguments: &[String]) -> String {
    ["://", "password="].iter().fold(text, |text, before| {
        let secrets = arguments
            .iter()
            .filter_map(|argument| argument.find(before).map(|at| &argument[at..]));
        secrets.fold(text, |text, secret| text.replace(secret, &format!("{before}…")))
    })
}

impl Failure {
    /// What a job ended with.
    pub(super) fn of_job(ended: Ended, stop: &Stop) -> Self {
        match ended {
            Ended::Failed(error) => Self::Store(error),
            Ended::Stopped => Self::Stopped(stop.code()),
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Store(error) => match error.kind {
                ErrorKind::InvalidArgument => WRONG_USE,
                ErrorKind::NotFound => NOT_FOUND,
                _ => FAILED,
            },
            Self::Usage(_) => WRONG_USE,
            Self::NotFound(_) => NOT_FOUND,
            Self::Failed(_) => FAILED,
            Self::NobodyReads => 0,
            Self::Stopped(code) | Self::StoppedReading(code) => *code,
        }
    }

    /// Says what went wrong, where that is to be said, and returns the exit code.
    pub(super) fn report(&self) -> u8 {
        match self {
            Self::NobodyReads => {}
            Self::StoppedReading(_) => say("ended"),
            Self::Stopped(_) => say("ended; nothing is half done, run it again to go on"),
            failure => say(format_args!("error: {}", Printable(&failure.to_string()))),
        }
        self.code()
    }
}

/// What writing to stdout fails with.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::NobodyReads;
        }
        Self::Failed(format!("writing the output failed: {error}"))
    }
}
