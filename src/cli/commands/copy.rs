//! `copy`: copies sessions from one store into another.

use std::collections::HashSet;

use crate::cli::Context;
use crate::cli::calls::{HowFar, Unit, run_job};
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::filters::Filters;
use crate::cli::store::{Access, OpenStore};
use crate::cli::text::Printable;
use crate::store::error::Quoted;
use crate::store::jobs::copy::{Copied, Copy, CopyOptions, Known, Selection, StoreSource, check_all_there, identity};
use crate::store::list::SessionFilter;
use crate::store::mode::Mode;
use crate::store::{Answer, ReadRequest};

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each event is stored as the very text that it is, at its own place, and what was stored is read back and compared. A copy that was
ended goes on where it was when it is run again, and adds what has come since. A session that the other store has with other events,
or with more of them, since it went on there or was compacted or pruned, is left as it is; it is told of, and the exit code is 1.
Tables are created where there are none. --store is of no use here.

Examples:
  sandbox-agent-persist copy ./sandbox-agent.db 'postgres://app@db.example/app?schema=agents'
  sandbox-agent-persist copy --dry-run ./sandbox-agent.db ./other.db
  sandbox-agent-persist copy --agent claude --created-after 30d --yes ./sandbox-agent.db ./recent.db")]
pub(in crate::cli) struct Arguments {
    /// The store that is copied from: a path, or a URL as --store takes it
    #[arg(value_name = "FROM")]
    from: String,

    /// The store that is copied into
    #[arg(value_name = "TO")]
    to: String,

    /// The ids of sessions; without any, all that meet the filters
    #[arg(value_name = "ID", conflicts_with = "Filters")]
    ids: Vec<String>,

    #[command(flatten)]
    filters: Filters,

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
    let from = context.store.at(&arguments.from, None);
    let from_name = from.name()?;
    let from = from.open(Access::Read)?;
    let to = context.store.at(&arguments.to, arguments.to_table_prefix.as_deref());
    let what = arguments.select(&from)?;
    let access = if arguments.dry_run { Access::Read } else { Access::Write };
    let store = to.open_if_any(access)?;
    if let Some(store) = &store {
        refuse_itself(&from, store)?;
    }
    let name = to.name()?;
    let store = match store {
        _ if arguments.dry_run => store.map_or_else(OpenStore::empty, Ok)?,
        Some(store) => {
            let change = format!("This copies {} from {} to {name}", what.words, from_name);
            arguments.confirmation.ask(&change, context)?;
            store
        }
        None => {
            let change = format!(
                "This copies {} from {} to {name}, and creates its tables",
                what.words, from_name
            );
            arguments.confirmation.ask(&change, context)?;
            to.open(Access::Migrate)?
        }
    };
    let options = CopyOptions {
        mode: if arguments.dry_run { Mode::DryRun } else { Mode::Run },
        known: Known::Replaced,
    };
    let source = StoreSource::new(from.calls.clone(), what.selection);
    let copy = Copy::new(Box::new(source), options);
    let copied = run_job(&copy, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.events,
        total: what.events,
        unit: Unit::Things("events"),
    })?;
    from.close()?;
    store.close()?;
    print(&copied, &name, context)?;
    match copied.different {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{} different in {name}, and left as they are there: copy them into another store to have both",
            if count == 1 {
                String::from("1 session is")
            } else {
                format!("{count} sessions are")
            }
        ))),
    }
}

/// Which sessions are copied.
struct What {
    selection: Selection,
    /// The same in words.
    words: String,
    /// How many events they have about, where that is known.
    events: Option<u64>,
}

impl Arguments {
    fn select(&self, from: &OpenStore) -> Result<What, Failure> {
        if !self.ids.is_empty() {
            let mut seen = HashSet::new();
            let ids: Vec<String> = self.ids.iter().filter(|id| seen.insert(*id)).cloned().collect();
            check_all_there(&from.calls, &ids, &from.name).map_err(|ended| Failure::of_job(ended, 0))?;
            let quoted: Vec<String> = ids.iter().map(|id| Quoted(id).to_string()).collect();
            return Ok(What {
                words: format!("session {}", quoted.join(", ")),
                selection: Selection::Ids(ids),
                events: None,
            });
        }
        let filter = self.filters.filter();
        if filter != SessionFilter::default() {
            return Ok(What {
                selection: Selection::Filtered(filter),
                words: String::from("the sessions that meet the filters"),
                events: None,
            });
        }
        let (sessions, events) = match from.calls.read(ReadRequest::Measure)? {
            Answer::Measured(size) => (size.sessions, size.events),
            _ => (0, 0),
        };
        Ok(What {
            selection: Selection::All,
            words: format!("all sessions (about {sessions}, with {events} events)"),
            events: u64::try_from(events).ok(),
        })
    }
}

fn refuse_itself(from: &OpenStore, to: &OpenStore) -> Result<(), Failure> {
    let identity = |store: &OpenStore| identity(&store.calls).map_err(|ended| Failure::of_job(ended, 0));
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
    for difference in &copied.differences {
        let line = format!("different: {}: {}", difference.session_id, difference.message);
        context.output.line(Printable(&line))?;
    }
    let Copied {
        sessions,
        events,
        bytes,
        unchanged,
        ..
    } = copied;
    let would_be = if copied.checksum.is_some() {
        "copied"
    } else {
        "would be copied"
    };
    context.output.line(format_args!(
        "{sessions} sessions with {events} events ({bytes} bytes) {would_be} to {}; {unchanged} were there already",
        Printable(name)
    ))?;
    let Some(checksum) = &copied.checksum else {
        return Ok(());
    };
    context.output.line(format_args!(
        "compared: {} sessions with {} events are the same in both, SHA-256 {}",
        checksum.sessions, checksum.events, checksum.sha256
    ))
}
