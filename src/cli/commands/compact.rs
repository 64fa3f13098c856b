//! `compact`: makes one event of each streamed message.

use indicatif::HumanCount;

use crate::cli::Context;
use crate::cli::conditions::Conditions;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::jobs::run_job;
use crate::cli::numbers::{bytes, counted};
use crate::cli::progress::{HowFar, Unit, is_watched};
use crate::cli::store::OpenStore;
use crate::store::jobs::Job;
use crate::store::jobs::compact::{CompactSession, CompactSessions, Compacted};
use crate::store::mode::Mode;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Agents store an event for every few characters that they say. Of each message in a turn that is over, one event stays, which has all \
of its text; what a session says stays the same. Without an id and without a condition all sessions are compacted. What was done when \
it ends, by Ctrl-C or a crash, stays done, and the same command goes on.

Examples:
  sandbox-agent-persist compact --dry-run
  sandbox-agent-persist compact my-session
  sandbox-agent-persist compact --idle-before 1d --yes --json")]
pub(in crate::cli) struct Arguments {
    /// The id of the only session that is compacted
    #[arg(conflicts_with_all = ["destroyed_before", "idle_before", "labels"])]
    id: Option<String>,

    #[command(flatten)]
    conditions: Conditions,

    /// Count what there is to do, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let mode = Mode::of(arguments.dry_run);
    let store = context.store.open(arguments.confirmation.access(mode)?)?;
    let name = store.name.clone();
    let done = compact(arguments, mode, &store, context);
    let compacted = store.close_after(done)?;
    if context.output.is_json() {
        return context.output.json(&compacted);
    }
    let done = match mode {
        Mode::Run => "joined with others in",
        Mode::DryRun => "would be joined with others in",
    };
    context.output.line(format_args!("{} {done} {name}", words(compacted)))
}

fn compact(arguments: &Arguments, mode: Mode, store: &OpenStore, context: &Context<'_>) -> Result<Compacted, Failure> {
    if let Some(id) = &arguments.id {
        store.check_has(id)?;
    }
    let mut total = None;
    if mode == Mode::DryRun || is_watched() {
        let would_be = arguments.compacted(Mode::DryRun, store, context, None)?;
        if mode == Mode::DryRun || would_be.removed == 0 {
            return Ok(would_be);
        }
        let change = format!("This joins {} with others in {}", words(would_be), store.name);
        arguments.confirmation.ask(&change, context)?;
        total = Some(would_be.events);
    }
    arguments.compacted(Mode::Run, store, context, total)
}

impl Arguments {
    fn compacted(
        &self,
        mode: Mode,
        store: &OpenStore,
        context: &Context<'_>,
        total: Option<u64>,
    ) -> Result<Compacted, Failure> {
        if let Some(session_id) = self.id.clone() {
            return run_watched(&CompactSession { session_id, mode }, store, context, total);
        }
        let conditions = self.conditions.conditions()?;
        run_watched(&CompactSessions { conditions, mode }, store, context, total)
    }
}

fn run_watched<J: Job<Progress = Compacted, Result = Compacted>>(
    job: &J,
    store: &OpenStore,
    context: &Context<'_>,
    total: Option<u64>,
) -> Result<Compacted, Failure> {
    run_job(job, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.events,
        total,
        unit: Unit::Things("events"),
    })
}

/// `3,456 of 10,000 events (1.20 MB of JSON) of 12 sessions`
fn words(
    Compacted {
        sessions,
        events,
        removed,
        bytes: text,
    }: Compacted,
) -> String {
    let [sessions, events] = [counted(sessions, "session"), counted(events, "event")];
    format!(
        "{} of {events} ({} of JSON) of {sessions}",
        HumanCount(removed),
        bytes(text)
    )
}
