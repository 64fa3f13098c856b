//! `completions`: prints a script that completes commands in a shell.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::Context;
use crate::cli::arguments::{self, PROGRAM};
use crate::cli::failure::Failure;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The scripts complete the command sandbox-agent-persist, which `npm install --global sandbox-agent-persist` puts in the path.

Examples:
  sandbox-agent-persist completions bash > ~/.local/share/bash-completion/completions/sandbox-agent-persist
  sandbox-agent-persist completions zsh > ~/.zfunc/_sandbox-agent-persist
  sandbox-agent-persist completions fish > ~/.config/fish/completions/sandbox-agent-persist.fish
  sandbox-agent-persist completions powershell >> $PROFILE")]
pub(in crate::cli) struct Arguments {
    /// Which shell
    shell: Shell,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(
        arguments.shell,
        &mut arguments::Arguments::command(),
        PROGRAM,
        &mut script,
    );
    // In one of two places of a script for bash, clap_complete takes the words of the program's name for commands below each other: then
    // no options of commands are found.
    let [as_commands, name] = ["__subcmd__", "__"].map(|between| PROGRAM.replace('-', between));
    let script = String::from_utf8_lossy(&script).replace(&as_commands, &name);
    context.output.line(script.trim_end())
}
