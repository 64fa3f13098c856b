//! `import`: reads sessions from a file that `export` has written.

use std::path::PathBuf;

use crate::cli::Context;
use crate::cli::archive::check::{Checked, check};
use crate::cli::archive::input::Input;
use crate::cli::archive::source::ArchiveSource;
use crate::cli::archive::{LineBound, Total};
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::incoming::{Incoming, print_differences};
use crate::cli::jobs::run_job;
use crate::cli::numbers::counted;
use crate::cli::progress::{HowFar, Unit};
use crate::cli::stderr::say;
use crate::cli::store::OpenStore;
use crate::cli::text::Printable;
use crate::store::jobs::copy::{Copied, Copy, CopyOptions, Known};
use crate::store::mode::Mode;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
All of the file is checked before anything is stored: a file with a line that is wrong changes nothing. Each session is stored whole or \
not at all. One that the store has already, with the same events, stays as it is. One that it has with other events stays too: it is \
named, and the exit code is 1. An import that was ended goes on when it is run again. Tables are created where there are none.

Examples:
  sandbox-agent-persist import sessions.jsonl.zst
  sandbox-agent-persist import --dry-run sessions.jsonl.zst
  ssh other sandbox-agent-persist export | sandbox-agent-persist import --yes -")]
pub(in crate::cli) struct Arguments {
    /// The file, which may be compressed by gzip or zstd; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Check the file, say what would be stored, and store nothing
    #[arg(long)]
    dry_run: bool,

    /// How long a line may be: a large event takes about four times as much memory
    #[arg(long, value_name = "N", default_value_t, value_parser = LineBound::parse)]
    max_line_bytes: LineBound,

    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let input = Input::open(&arguments.file, context.stop)?;
    let checked = check(&input, arguments.max_line_bytes, context.stop)?;
    let total = sound(&input, checked)?;
    let name = context.store.name()?;
    let mode = Mode::of(arguments.dry_run);
    let incoming = Incoming {
        store: context.store,
        mode,
        confirmation: &arguments.confirmation,
    };
    let change = format!(
        "This imports {} with {} from {} into {name}",
        counted(total.sessions, "session"),
        counted(total.events, "event"),
        input.name()
    );
    let store = incoming.agreed(incoming.find()?, &change, context)?;
    let source = ArchiveSource::of(&input, arguments.max_line_bytes)?;
    let imported = load(source, mode, total, &store, context);
    let imported = store.close_after(imported)?;
    print(&imported, mode, &name, context)?;
    match imported.different {
        0 => Ok(()),
        count => {
            let sessions = counted(count, "session");
            Err(Failure::Failed(format!(
                "{sessions} of {} cannot be imported into {name}, which has others of the same ids: these stay as they are",
                input.name()
            )))
        }
    }
}

fn load(
    source: ArchiveSource,
    mode: Mode,
    total: Total,
    store: &OpenStore,
    context: &Context<'_>,
) -> Result<Copied, Failure> {
    let options = CopyOptions {
        mode,
        known: Known::Kept,
    };
    let copy = Copy::new(Box::new(source), options);
    run_job(&copy, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.events,
        total: Some(total.events),
        unit: Unit::Things("events"),
    })
}

/// How much is in a file in which every line is as it must be. Else the first that are not are named.
fn sound(input: &Input, checked: Checked) -> Result<Total, Failure> {
    let Checked {
        total,
        wrong,
        more_wrong,
    } = checked;
    if wrong.is_empty() {
        return Ok(total);
    }
    for line in &wrong {
        say(Printable(&line.to_string()));
    }
    if more_wrong > 0 {
        say(format_args!("and {more_wrong} more"));
    }
    let lines = counted(wrong.len() as u64 + more_wrong, "wrong line");
    Err(Failure::Failed(format!(
        "{} cannot be imported, since it has {lines}; nothing was changed",
        input.name()
    )))
}

fn print(imported: &Copied, mode: Mode, name: &str, context: &mut Context<'_>) -> Result<(), Failure> {
    if context.output.is_json() {
        return context.output.json(imported);
    }
    print_differences(&imported.differences, context.output)?;
    let Copied {
        sessions,
        events,
        unchanged,
        ..
    } = imported;
    let done = match mode {
        Mode::Run => "imported",
        Mode::DryRun => "would be imported",
    };
    context.output.line(format_args!(
        "{} with {} {done} into {}; already there: {unchanged}",
        counted(*sessions, "session"),
        counted(*events, "event"),
        name
    ))
}
