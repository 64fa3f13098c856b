//! `export`: writes sessions to a file, or to stdout.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Context;
use crate::cli::archive::Total;
use crate::cli::archive::compression::Compression;
use crate::cli::archive::export::Export;
use crate::cli::archive::output::{Output, Place};
use crate::cli::failure::Failure;
use crate::cli::jobs::run_job;
use crate::cli::numbers::counted;
use crate::cli::progress::{HowFar, Unit};
use crate::cli::selection::Selected;
use crate::cli::store::OpenStore;
use crate::cli::text::Printable;
use crate::store::access::Access;
use crate::store::jobs::copy::StoreSource;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is JSON Lines: one object a line, and each event the very text that the store has. `import` reads it into any other store.

Examples:
  sandbox-agent-persist export --output sessions.jsonl.zst
  sandbox-agent-persist export --output one.jsonl my-session
  sandbox-agent-persist export --created-after 30d | grep -c '^{\"event\"'
  sandbox-agent-persist export --compress gz | ssh other 'cat > all.jsonl.gz'")]
pub(in crate::cli) struct Arguments {
    /// Write to this file, compressed if it ends in .gz or .zst; only you may read it. - is stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the file, if there is one
    #[arg(long, requires = "output")]
    force: bool,

    /// Compress what goes to stdout
    #[arg(long, value_enum, conflicts_with = "output")]
    compress: Option<Compression>,

    #[command(flatten)]
    selected: Selected,
}

/// What stands for stdout, as where there is no file.
const STDOUT: &str = "-";

/// What was exported.
#[derive(Serialize)]
struct Exported {
    #[serde(flatten)]
    total: Total,
    file: String,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let store = context.store.open(Access::Read)?;
    let chosen = arguments.selected.choose(&store, context.stop)?;
    let file = arguments.output.as_deref().filter(|path| path.as_os_str() != STDOUT);
    let output = match file {
        Some(path) => {
            refuse_store_itself(&store, path)?;
            Output::file(Place::of(path, arguments.force)?)?
        }
        None => Output::stdout(arguments.compress)?,
    };
    let is_stdout = file.is_none();
    let source = StoreSource::new(store.calls.clone(), chosen.selection);
    let export = Export::new(Box::new(source), output);
    let exported = run_job(&export, &store.calls, context.stop, &|events| HowFar {
        done: *events,
        total: chosen.events,
        unit: Unit::Things("events"),
    });
    // Why writing has failed is to be told, and not that the job has ended for it.
    let output = export.into_output()?;
    let total = exported?;
    store.close()?;
    let file = output.name();
    output.publish()?;
    if is_stdout {
        return Ok(());
    }
    if context.output.is_json() {
        return context.output.json(&Exported { total, file });
    }
    let (sessions, events) = (counted(total.sessions, "session"), counted(total.events, "event"));
    let line = format!("{sessions} with {events} written to {file}");
    context.output.line(Printable(&line))
}

/// A file in the place of the store, or of one that SQLite keeps beside it, would be its end.
fn refuse_store_itself(store: &OpenStore, path: &Path) -> Result<(), Failure> {
    if store.sqlite.as_ref().is_some_and(|sqlite| sqlite.has_file(path)) {
        return Err(Failure::Usage(format!(
            "--output {} is the store itself: choose another file",
            path.display()
        )));
    }
    Ok(())
}
