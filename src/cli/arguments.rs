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
    /// Show the transcript of a session
    Show(commands::show::Arguments),
    /// Follow a session: print what is said, as it comes
    Tail(commands::tail::Arguments),
    /// Count what there is: totals, the largest sessions, events a day, bytes by kind of message
    Stats(commands::stats::Arguments),
    /// Write sessions to a file, or to another program
    Export(commands::export::Arguments),
    /// Read sessions from a file that export has written
    Import(commands::import::Arguments),
    /// Copy sessions from one store into another, of any kind
    Copy(commands::copy::Arguments),
    /// Set, remove or list a session's labels
    Label(commands::label::Arguments),
    /// Copy a session under a new id
    Fork(commands::fork::Arguments),
    /// Delete sessions
    Delete(commands::delete::Arguments),
    /// Delete sessions that nobody needs any more, or their older events
    Prune(commands::prune::Arguments),
    /// Make one event of each streamed message
    Compact(commands::compact::Arguments),
    /// Replace a table of events that another program made by our own, which is quicker
    Rebuild(commands::rebuild::Arguments),
    /// Copy an SQLite store into a file, while others write
    Backup(commands::backup::Arguments),
    /// Give free space back to the file system
    Vacuum(commands::vacuum::Arguments),
    /// Look for damage and for settings that lose events
    #[command(visible_alias = "doctor")]
    Check(commands::check::Arguments),
    /// Make the tables ready: create them, or bring older ones up to date
    Migrate(commands::migrate::Arguments),
    /// Print a script that completes commands in a shell
    Completions(commands::completions::Arguments),
}
