//! Asks before something is changed.

use std::io::{self, IsTerminal, Write};

use super::Context;
use super::failure::Failure;
use super::text::Printable;

/// Every command that changes something has it.
#[derive(Debug, clap::Args)]
pub(super) struct Confirmation {
    /// Do not ask; needed where there is no terminal
    #[arg(long, short)]
    yes: bool,
}

impl Confirmation {
    /// Says what will be changed, and goes on if the user agrees. `change` is a sentence without its full stop, such as
    /// `This deletes session "a" from ./sandbox-agent.db`.
    pub(super) fn ask(&self, change: &str, context: &Context<'_>) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::Usage(format!(
                "{change}: add --yes to agree, since there is no terminal to ask on"
            )));
        }
        let mut answer = String::new();
        anstream::eprint!("{}. Go on? [y/N] ", Printable(change));
        let asked = context.stop.while_asking(|| {
            io::stderr().flush()?;
            io::stdin().read_line(&mut answer)
        });
        asked
            .map_err(|error| Failure::Failed(format!("asking on the terminal failed: {error}; add --yes to agree")))?;
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Failure::Failed(String::from("nothing was changed")))
    }
}
