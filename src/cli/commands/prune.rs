//! `prune`: deletes sessions that nobody needs any more, or their older events.

use crate::cli::Context;
use crate::cli::conditions::Conditions;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::jobs::run_job;
use crate::cli::numbers::{bytes, counted};
use crate::cli::progress::{HowFar, Unit, is_watched};
use crate::cli::store::OpenStore;
use crate::store::jobs::prune::{Kept, Prune, Removed};
use crate::store::mode::Mode;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
There must be a condition. What was deleted when it ends, by Ctrl-C or a crash, stays deleted, and the same command goes on.

Examples:
  sandbox-agent-persist prune --destroyed-before 30d --dry-run
  sandbox-agent-persist prune --idle-before 2026-01-31 --label user=u1
  sandbox-agent-persist prune --idle-before 7d --keep-last-events 1000 --yes")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    conditions: Conditions,

    /// Keep the sessions and so many of their newest events, and delete older ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    keep_last_events: Option<i64>,

    /// Count what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let mode = Mode::of(arguments.dry_run);
    // What is wrong with the conditions is told before the store is opened.
    arguments.job(mode)?;
    let store = context.store.open(arguments.confirmation.access(mode)?)?;
    let name = store.name.clone();
    let done = prune(arguments, mode, &store, context);
    let removed = store.close_after(done)?;
    if context.output.is_json() {
        return context.output.json(&removed);
    }
    let done = match mode {
        Mode::Run => "deleted from",
        Mode::DryRun => "would be deleted from",
    };
    context
        .output
        .line(format_args!("{} {done} {name}", arguments.words(removed)))
}

fn prune(arguments: &Arguments, mode: Mode, store: &OpenStore, context: &Context<'_>) -> Result<Removed, Failure> {
    let mut total = None;
    if mode == Mode::DryRun || is_watched() {
        let would_be = pruned(&arguments.job(Mode::DryRun)?, store, context, None)?;
        if mode == Mode::DryRun || would_be == Removed::default() {
            return Ok(would_be);
        }
        let kept = arguments
            .keep_last_events
            .map(|count| format!(", and keeps the newest {count} of each"));
        let change = format!(
            "This deletes {} from {}{}",
            arguments.words(would_be),
            store.name,
            kept.unwrap_or_default()
        );
        arguments.confirmation.ask(&change, context)?;
        total = Some(would_be.events);
    }
    pruned(&arguments.job(Mode::Run)?, store, context, total)
}

fn pruned(job: &Prune, store: &OpenStore, context: &Context<'_>, total: Option<u64>) -> Result<Removed, Failure> {
    run_job(job, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.events,
        total,
        unit: Unit::Things("events"),
    })
}

impl Arguments {
    fn job(&self, mode: Mode) -> Result<Prune, Failure> {
        let kept = self.keep_last_events.map_or(Kept::Nothing, Kept::Newest);
        Prune::new(self.conditions.conditions()?, kept, mode).ok_or_else(|| {
            Failure::Usage(String::from(
                "prune needs a condition, or it would delete every session: give --destroyed-before, --idle-before or --label \
                 (--keep-last-events says what stays, and is none)",
            ))
        })
    }

    /// `12 sessions with 3,456 events (1.20 MB of JSON)`
    fn words(
        &self,
        Removed {
            sessions,
            events,
            bytes: text,
        }: Removed,
    ) -> String {
        let [sessions, events] = [counted(sessions, "session"), counted(events, "event")];
        let text = bytes(text);
        match self.keep_last_events {
            None => format!("{sessions} with {events} ({text} of JSON)"),
            Some(_) => format!("{events} ({text} of JSON) of {sessions}"),
        }
    }
}
