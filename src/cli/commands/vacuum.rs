//! `vacuum`: gives free space back to the file system.

use crate::cli::Context;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::jobs::run_job;
use crate::cli::numbers::bytes;
use crate::cli::progress::{HowFar, Unit};
use crate::cli::store::OpenStore;
use crate::store::access::Access;
use crate::store::jobs::vacuum::{Freed, Vacuum};

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An SQLite file gives up its free pages, in small steps beside readers and writers. A file that another program made is written anew the \
first time: writers wait for that, and Ctrl-C does not end it. On Postgres it runs VACUUM on the tables.

Examples:
  sandbox-agent-persist vacuum
  sandbox-agent-persist vacuum --yes --json")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    arguments.confirmation.check_can_ask()?;
    let store = context.store.open(Access::Write)?;
    let done = vacuum(arguments, &store, context);
    let freed = store.close_after(done)?;
    if context.output.is_json() {
        return context.output.json(&freed);
    }
    context
        .output
        .line(format_args!("{} given back to the file system", bytes(freed.bytes)))
}

fn vacuum(arguments: &Arguments, store: &OpenStore, context: &Context<'_>) -> Result<Freed, Failure> {
    let free = store.measure()?.free_bytes;
    let change = match free {
        Some(free) => format!(
            "This gives the free space of {} ({}) back to the file system",
            store.name,
            bytes(free)
        ),
        None => format!("This runs VACUUM on the tables of {}", store.name),
    };
    arguments.confirmation.ask(&change, context)?;
    run_job(&Vacuum, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.bytes,
        total: free,
        unit: Unit::Bytes,
    })
}
