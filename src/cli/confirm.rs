//! Asks before something is changed.

use std::io::{self, IsTerminal};

use super::Context;
use super::failure::Failure;
use super::stderr;
use super::text::Printable;
use crate::store::access::Access;
use crate::store::mode::Mode;

/// Every command that changes something has it.
#[derive(Debug, clap::Args)]
pub(super) struct Confirmation {
    /// Do not ask; needed where there is no terminal
    #[arg(long, short)]
    yes: bool,
}

impl Confirmation {
    /// Fails where nobody can be asked who has not agreed: before much is counted for the question.
    pub(super) fn check_can_ask(&self) -> Result<(), Failure> {
        if self.yes || there_is_a_terminal() {
            return Ok(());
        }
        Err(Failure::Usage(String::from(
            "there is no terminal to ask on: add --yes to agree to what this command changes",
        )))
    }

    /// How the store is opened by a command that changes nothing in a dry run. Where this is none it fails as [`Self::check_can_ask`] does.
    pub(super) fn access(&self, mode: Mode) -> Result<Access, Failure> {
        Ok(match mode {
            Mode::Run => {
                self.check_can_ask()?;
                Access::Write
            }
            Mode::DryRun => Access::Read,
        })
    }

    /// Says what will be changed, and goes on if the user agrees. `change` is a sentence without its full stop, such as
    /// `This deletes session "a" from ./sandbox-agent.db`.
    pub(super) fn ask(&self, change: &str, context: &Context<'_>) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !there_is_a_terminal() {
            return Err(Failure::Usage(format!(
                "{change}: add --yes to agree, since there is no terminal to ask on"
            )));
        }
        let mut answer = String::new();
        stderr::begin(format_args!("{}. Go on? [y/N] ", Printable(change)));
        let asked = context.stop.while_asking(|| io::stdin().read_line(&mut answer));
        let asked = asked.ok_or_else(|| Failure::Stopped(context.stop.code()))?;
        if !answer.ends_with('\n') {
            // Ctrl-D has not ended the line of the question.
            stderr::say("");
        }
        asked
            .map_err(|error| Failure::Failed(format!("asking on the terminal failed: {error}; add --yes to agree")))?;
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Failure::Failed(String::from(
            "nothing was changed, since you did not agree",
        )))
    }
}

fn there_is_a_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
