//! `backup`: copies an SQLite store into a file while others write.

use std::path::Path;

use crate::cli::Context;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::jobs::run_job;
use crate::cli::numbers::bytes;
use crate::cli::progress::{HowFar, Unit};
use crate::cli::store::OpenStore;
use crate::cli::text::Printable;
use crate::store::access::Access;
use crate::store::sqlite::{BackupRequest, Copied};

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The copy is checked before it gets its place; ended by Ctrl-C or a crash, it leaves no copy, and what was there before stays. \
A Postgres database is backed up with pg_dump.

Examples:
  sandbox-agent-persist backup backup.db
  sandbox-agent-persist --store ./app.db backup nightly.db --overwrite --yes")]
pub(in crate::cli) struct Arguments {
    /// Where to put the copy
    #[arg(value_name = "PATH")]
    path: String,

    /// Replace a file that is there
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let store = context.store.open(Access::Read)?;
    let done = backup(arguments, &store, context);
    let copied = store.close_after(done)?;
    if context.output.is_json() {
        return context.output.json(&copied);
    }
    let path = Printable(&arguments.path);
    context
        .output
        .line(format_args!("{} copied to {path}", bytes(copied.bytes)))
}

fn backup(arguments: &Arguments, store: &OpenStore, context: &Context<'_>) -> Result<Copied, Failure> {
    let Arguments { path, overwrite, .. } = arguments;
    let Some(sqlite) = &store.sqlite else {
        return Err(Failure::Usage(format!(
            "{} is a Postgres database: back it up with pg_dump, or copy it into an SQLite file with `copy`",
            store.name
        )));
    };
    if Path::new(path).symlink_metadata().is_ok() {
        if !overwrite {
            return Err(Failure::Usage(format!(
                "there is a file at {path} already: choose another path, or replace it with --overwrite"
            )));
        }
        let change = format!("This replaces the file {path} by a copy of {}", store.name);
        arguments.confirmation.ask(&change, context)?;
    }
    let job = sqlite.backup(BackupRequest::new(path, *overwrite)?);
    run_job(&job, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.bytes,
        total: Some(so_far.total_bytes),
        unit: Unit::Bytes,
    })
}
