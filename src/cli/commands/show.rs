//! `show`: prints the transcript of a session.

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::reading::Reading;
use crate::cli::stderr;
use crate::cli::text::Printable;
use crate::cli::time::minute;
use crate::cli::transcript::{Entry, Last, Length, Printer, Transcript, last};
use crate::store::access::Access;
use crate::store::jobs::pages::Pages;
use crate::store::list::EventList;
use crate::store::model::{SessionEvent, SessionRecord};
use crate::store::page::items;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An entry is what the transcript shows as one: a message with all its pieces, a tool call with what became of it, a plan, an answer.

Examples:
  sandbox-agent-persist show 3f0c2f9e-6c1f-4a55-9d31-3c1d2b6d4a10
  sandbox-agent-persist show my-session --last 20
  sandbox-agent-persist show my-session --raw | jq .payload.method")]
pub(in crate::cli) struct Arguments {
    /// The session's id
    id: String,

    /// Only the last N entries; with --raw the last N events
    #[arg(long, value_name = "N")]
    last: Option<u32>,

    /// Print the events as they are stored: one JSON object a line
    #[arg(long)]
    raw: bool,

    /// Print all that tools were given and have printed, not the first lines alone
    #[arg(long)]
    full: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let store = context.store.open(Access::Read)?;
    let reading = Reading::of(&store, context.stop);
    let record = reading.session(&arguments.id)?;
    if arguments.raw {
        raw(&reading, arguments, context.output)?;
    } else {
        let mut view = if context.output.is_json() {
            View::Json
        } else {
            if let Some(record) = &record {
                head(&reading, &SessionRecord::parse(record)?, context.output)?;
            }
            View::People(Printer::new(if arguments.full { Length::Full } else { Length::Short }))
        };
        match arguments.last {
            Some(count) => {
                let Last { entries, are_cut } = last(&reading, &arguments.id, count)?;
                if are_cut && !context.output.is_json() {
                    context
                        .output
                        .line("… there is more before: without --last all of it is shown\n")?;
                }
                view.print(&entries, context.output)?;
                if are_cut && entries.len() < usize::try_from(count).unwrap_or(usize::MAX) {
                    context.output.flush()?;
                    stderr::say(format_args!(
                        "these are the last {} entries alone: more cannot be read from the end; without --last all are shown",
                        entries.len()
                    ));
                }
            }
            None => all(&reading, &arguments.id, &mut view, context.output)?,
        }
    }
    Ok(store.close()?)
}

/// How entries are printed.
enum View {
    People(Printer),
    Json,
}

impl View {
    fn print(&mut self, entries: &[Entry], output: &mut Output) -> Result<(), Failure> {
        entries.iter().try_for_each(|entry| match self {
            Self::People(printer) => printer.print(entry, output),
            Self::Json => output.json(entry),
        })
    }
}

/// What the session is.
fn head(reading: &Reading<'_>, record: &SessionRecord<'_>, output: &mut Output) -> Result<(), Failure> {
    let labels = reading.labels(&record.id)?;
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let facts = [
        Some(format!("agent {}", record.agent)),
        Some(format!("created {} UTC", minute(record.created_at))),
        record
            .destroyed_at
            .map(|time| format!("destroyed {} UTC", minute(time))),
        record.sandbox_id.as_ref().map(|sandbox| format!("sandbox {sandbox}")),
        (!labels.is_empty()).then(|| format!("labels {}", labels.join(" "))),
    ];
    output.line(format_args!("session {}", Printable(&record.id)))?;
    for fact in facts.iter().flatten() {
        output.line(format_args!("  {}", Printable(fact)))?;
    }
    output.line("")
}

fn all(reading: &Reading<'_>, id: &str, view: &mut View, output: &mut Output) -> Result<(), Failure> {
    let mut pages = Pages::of(EventList::all(id.to_owned()));
    let mut transcript = Transcript::default();
    while let Some(page) = reading.page(&mut pages)? {
        for event in items(&page)? {
            transcript.push(&SessionEvent::parse(id, event)?);
            view.print(&transcript.take_whole(), output)?;
        }
    }
    view.print(&transcript.finish(), output)
}

fn raw(reading: &Reading<'_>, arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let mut list = EventList::all(arguments.id.clone());
    if let Some(count) = arguments.last {
        list.filter.after_index = reading.before_last(&arguments.id, count)?;
    }
    let mut pages = Pages::of(list);
    while let Some(page) = reading.page(&mut pages)? {
        items(&page)?
            .into_iter()
            .try_for_each(|event| output.json_text(event))?;
    }
    Ok(())
}
