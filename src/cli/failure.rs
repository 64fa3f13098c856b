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
    let text = without_secrets(error.render().to_string(), arguments);
    let problems = text
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"));
    let problems: Vec<String> = problems.collect();
    say(format_args!("{} (--help says more)", Printable(&problems.join("; "))));
    WRONG_USE
}

/// The text of an error that may show what was written: a store in the wrong place may hold a password.
fn without_secrets(text: String, arguments: &[String]) -> String {
    arguments
        .iter()
        .flat_map(|argument| secrets_of(argument))
        .fold(text, |text, secret| {
            // An id is quoted, and escaped for that.
            let quoted = format!("{secret:?}");
            text.replace(secret, "…").replace(quoted.trim_matches('"'), "…")
        })
}

/// What may hold a password of an argument that is a URL, or a list of settings. Where it was taken for a path only parts of it may be
/// as they were.
fn secrets_of(argument: &str) -> Vec<&str> {
    const SHORTEST: usize = 3;
    let mut secrets = Vec::new();
    if let Some((_, address)) = argument.split_once("://") {
        secrets.extend(address.contains(['@', ':', '=']).then_some(address));
        secrets.extend(address.rsplit_once('@').map(|(login, _)| login));
        secrets.extend(address.split_once('?').map(|(_, settings)| settings));
    } else if let Some(at) = argument.to_ascii_lowercase().find("password") {
        let setting = &argument[at..];
        secrets.extend(setting.contains('=').then_some(setting));
    }
    secrets.retain(|secret| secret.len() >= SHORTEST);
    secrets
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

    /// Says what went wrong with these arguments, where that is to be said, and returns the exit code.
    pub(super) fn report(&self, arguments: &[String]) -> u8 {
        match self {
            Self::NobodyReads => {}
            Self::StoppedReading(_) => say("ended"),
            Self::Stopped(_) => say("ended; nothing is half done, run it again to go on"),
            failure => {
                let text = without_secrets(failure.to_string(), arguments);
                say(format_args!("error: {}", Printable(&text)));
            }
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
