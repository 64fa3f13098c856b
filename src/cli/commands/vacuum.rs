//! `vacuum`: gives free space back to the file system.

use crate::cli::Context;
use crate::cli::calls::run_job;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::store::Access;
use crate::store::jobs::vacuum::Vacuum;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox-agent-persist vacuum --yes")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let store = context.store.open(Access::Write)?;
    let change = format!("This gives the free space of {} back to the file system", store.name);
    arguments.confirmation.ask(&change, context)?;
    let done = run_job(&Vacuum, &store.calls, context.stop, None, &|so_far| so_far.bytes)?;
    store.close()?;
    if context.output.is_json() {
        return context.output.json(&done);
    }
    context.output.line(format_args!("{} bytes given back", done.bytes))
}
