//! What can be written on the command line, and its help. docs/cli.md is made of it (scripts/cli-docs.mjs).

use clap::{Parser, Subcommand};

use super::commands;
use super::store::{EVERYWHERE, StoreArguments};

/// What the program is called.
pub(super) const PROGRAM: &str = "sandbox-agent-persist";

/// Finds, reads, moves and cleans up the sessions that agents have left in a store.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) store: StoreArguments,

    /// Print JSON: one object a line
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong use
  3    no such session, or no such store
  130  ended by Ctrl-C";

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List sessions
    Sessions(commands::sessions::Arguments),
    /// Give free space back to the file system
    Vacuum(commands::vacuum::Arguments),
    /// Make the tables ready: create them, or bring older ones up to date
    Migrate(commands::migrate::Arguments),
}
