//! `copy`: copies sessions from one store into another.

use crate::cli::Context;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::incoming::{Incoming, print_differences};
use crate::cli::jobs::run_job;
use crate::cli::numbers::{bytes, counted};
use crate::cli::progress::{HowFar, Unit};
use crate::cli::selection::Selected;
use crate::cli::stop::Stop;
use crate::cli::store::OpenStore;
use crate::store::access::Access;
use crate::store::jobs::copy::{Copied, Copy, CopyOptions, Difference, Known, Reason, StoreSource, identity};
use crate::store::mode::Mode;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each event is stored as the very text that it is, at its own place, and what was stored is read back and compared. A copy that was \
ended goes on when it is run again, and adds what has come since. A session that TO has with other events, or with more of them, since \
it went on there or was compacted or pruned, stays as it is, and one that is compacted, pruned or deleted while it is read is left out: \
it is named, and the exit code is 1. Tables are created where there are none. --store is not used.

Examples:
  sandbox-agent-persist copy ./sandbox-agent.db postgres://app@db.example/app
  sandbox-agent-persist copy --dry-run ./sandbox-agent.db ./other.db
  sandbox-agent-persist copy --agent claude ./sandbox-agent.db ./claude.db")]
pub(in crate::cli) struct Arguments {
    /// The store that is copied from: a path, or a URL as --store takes it
    #[arg(value_name = "FROM")]
    from: String,

    /// The store that is copied into
    #[arg(value_name = "TO")]
    to: String,

    #[command(flatten)]
    selected: Selected,

    /// What the names of the tables of TO begin with, where that is not as in FROM
    #[arg(long, value_name = "PREFIX")]
    to_table_prefix: Option<String>,

    /// Say what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let from = context.store.at(&arguments.from, None).open(Access::Read)?;
    let to = context.store.at(&arguments.to, arguments.to_table_prefix.as_deref());
    let what = arguments.selected.choose(&from, context.stop)?;
    let mode = Mode::of(arguments.dry_run);
    let incoming = Incoming {
        store: &to,
        mode,
        confirmation: &arguments.confirmation,
    };
    let found = incoming.find()?;
    if let Some(store) = &found {
        refuse_itself(&from, store, context.stop)?;
    }
    let name = to.name()?;
    let change = format!("This copies {} from {} to {name}", what.words, from.name);
    let store = incoming.agreed(found, &change, context)?;
    let options = CopyOptions {
        mode,
        known: Known::Replaced,
    };
    let source = StoreSource::new(from.calls.clone(), what.selection);
    let copy = Copy::new(Box::new(source), options);
    let copied = run_job(&copy, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.events,
        total: what.events,
        unit: Unit::Things("events"),
    });
    let copied = from.close_after(store.close_after(copied))?;
    print(&copied, &name, context)?;
    if copied.different == 0 {
        return Ok(());
    }
    let sessions = match copied.different {
        1 => String::from("1 session is"),
        count => format!("{} are", counted(count, "session")),
    };
    let has_changed = |difference: &Difference| difference.reason == Reason::ChangedMeanwhile;
    Err(Failure::Failed(if copied.differences.iter().all(has_changed) {
        format!("{sessions} not copied, since somebody has changed what was copied meanwhile: copy again")
    } else {
        format!("{sessions} different in {name}, and unchanged there: copy into another store to have both")
    }))
}

fn refuse_itself(from: &OpenStore, to: &OpenStore, stop: &Stop) -> Result<(), Failure> {
    let identity = |store: &OpenStore| identity(&store.calls).map_err(|ended| Failure::of_job(ended, stop));
    if identity(from)? != identity(to)? {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "copying {} into itself would do nothing: name another store",
        from.name
    )))
}

fn print(copied: &Copied, name: &str, context: &mut Context<'_>) -> Result<(), Failure> {
    if context.output.is_json() {
        return context.output.json(copied);
    }
    print_differences(&copied.differences, context.output)?;
    let would_be = if copied.checksum.is_some() {
        "copied"
    } else {
        "would be copied"
    };
    context.output.line(format_args!(
        "{} with {} ({}) {would_be} to {}; already there: {}",
        counted(copied.sessions, "session"),
        counted(copied.events, "event"),
        bytes(copied.bytes),
        name,
        copied.unchanged
    ))?;
    let Some(checksum) = &copied.checksum else {
        return Ok(());
    };
    context.output.line(format_args!(
        "compared: {} with {} are the same in both, SHA-256 {}",
        counted(checksum.sessions, "session"),
        counted(checksum.events, "event"),
        checksum.sha256
    ))
}
