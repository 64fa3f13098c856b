//! `rebuild`: makes the table of events like those that we make.

use uuid::Uuid;

use crate::cli::Context;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::jobs::run_job;
use crate::cli::numbers::{bytes, counted};
use crate::cli::progress::{HowFar, Unit};
use crate::cli::store::OpenStore;
use crate::store::access::Access;
use crate::store::jobs::rebuild::{Copied, Rebuild};
use crate::store::tables::layout::Layout;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Programs of all kinds may go on writing meanwhile, but for those that write with ON CONFLICT (id): stop them first. It takes as much disk \
space as the table has. Ended by Ctrl-C or a crash, it leaves the table as it was.

Examples:
  sandbox-agent-persist rebuild
  sandbox-agent-persist rebuild --yes --json")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    arguments.confirmation.check_can_ask()?;
    let store = context.store.open(Access::Write)?;
    let done = rebuild(arguments, &store, context);
    let copied = store.close_after(done)?;
    if context.output.is_json() {
        return context.output.json(&copied);
    }
    if copied == Copied::default() {
        return context.output.line("the table of events needs no rebuild");
    }
    let events = counted(copied.events, "event");
    context
        .output
        .line(format_args!("{events} ({} of JSON) copied", bytes(copied.bytes)))
}

fn rebuild(arguments: &Arguments, store: &OpenStore, context: &Context<'_>) -> Result<Copied, Failure> {
    let size = store.measure()?;
    let events = u64::try_from(size.events).unwrap_or(0);
    let change = match size.layout {
        Layout::Adopted => format!(
            "This copies the table of events of {} ({}) into a fresh one, which takes its place",
            store.name,
            counted(events, "event")
        ),
        Layout::Own => format!(
            "This removes what an earlier rebuild may have left in {}, whose table of events needs none",
            store.name
        ),
    };
    arguments.confirmation.ask(&change, context)?;
    let job = Rebuild::new(Uuid::new_v4().to_string());
    run_job(&job, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.events,
        total: Some(events),
        unit: Unit::Things("events"),
    })
}
