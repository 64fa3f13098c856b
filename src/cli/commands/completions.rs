//! `completions`: prints a script that completes commands in a shell.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::Context;
use crate::cli::arguments::{self, PROGRAM};
use crate::cli::failure::Failure;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The scripts complete the command sandbox-agent-persist, which `npm install --global sandbox-agent-persist` puts in the path. Put the \
line of your shell into ~/.bashrc, ~/.zshrc (after compinit), ~/.config/fish/config.fish, ~/.config/elvish/rc.elv or $PROFILE.

Examples:
  eval \"$(sandbox-agent-persist completions bash)\"
  eval \"$(sandbox-agent-persist completions zsh)\"
  sandbox-agent-persist completions fish | source
  eval (sandbox-agent-persist completions elvish | slurp)
  sandbox-agent-persist completions powershell | Out-String | iex")]
pub(in crate::cli) struct Arguments {
    /// Which shell
    shell: Shell,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    context.output.line(script(arguments.shell).trim_end())
}

fn script(shell: Shell) -> String {
    // The script for bash completes nothing after the name of a command where the program's own name has hyphens (clap issue 6421), so
    // it gets underscores, and the hyphens only where the script says what it completes.
    let name = match shell {
        Shell::Bash => PROGRAM.replace('-', "_"),
        _ => String::from(PROGRAM),
    };
    let mut script = Vec::new();
    generate(shell, &mut arguments::Arguments::command(), &name, &mut script);
    let script = String::from_utf8_lossy(&script);
    script.replace(&format!("-o default {name}"), &format!("-o default {PROGRAM}"))
}
