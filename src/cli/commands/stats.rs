//! `stats`: how much there is, which sessions are the largest, and of which days and kinds the events are.

use indicatif::HumanCount;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::bars::bars;
use crate::cli::failure::Failure;
use crate::cli::filters::Filters;
use crate::cli::jobs::run_job;
use crate::cli::numbers;
use crate::cli::output::Output;
use crate::cli::progress::{HowFar, Unit};
use crate::cli::store::OpenStore;
use crate::cli::table::{Column, Fit, Listing};
use crate::cli::time::{day, minute};
use crate::store::access::Access;
use crate::store::jobs::survey::{CountedKind, DAY, DayVolume, Survey, Surveyed, Volume};
use crate::store::list::SessionFilter;
use crate::store::statistics::{Counts, DatabaseSize};

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
All events are read, some hundred thousand a second. A filter counts the sessions that meet it; the size is that of the whole store.

Examples:
  sandbox-agent-persist stats
  sandbox-agent-persist stats --agent claude --created-after 30d
  sandbox-agent-persist stats --totals
  sandbox-agent-persist stats --json | jq '.kinds[] | [.name, .bytes]'")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    filters: Filters,

    /// How many of the largest sessions are shown
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(..=1_000))]
    largest: u16,

    /// How many days are shown, the last ones; --json has all
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,

    /// Read no events: only the size, and how many rows there are, about
    #[arg(long)]
    totals: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    counted: &'a Surveyed,
    size: Size,
}

/// How large the store is.
#[derive(Serialize)]
struct Size {
    #[serde(rename = "dataBytes")]
    data: u64,
    #[serde(rename = "freeBytes", skip_serializing_if = "Option::is_none")]
    free: Option<u64>,
    #[serde(rename = "logBytes", skip_serializing_if = "Option::is_none")]
    log: Option<u64>,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let filter = arguments.filters.filter()?;
    if arguments.totals && filter != SessionFilter::default() {
        return Err(Failure::Usage(String::from(
            "--totals reads no sessions to filter: leave it out, or the filter",
        )));
    }
    let store = context.store.open(Access::Read)?;
    let size = store.measure()?;
    if arguments.totals {
        store.close()?;
        return print_totals(&size, context.output);
    }
    let counted = survey(arguments, filter, &store, &size, context)?;
    store.close()?;
    print(arguments, &counted, &size, context.output)
}

fn survey(
    arguments: &Arguments,
    filter: SessionFilter,
    store: &OpenStore,
    size: &DatabaseSize,
    context: &Context<'_>,
) -> Result<Surveyed, Failure> {
    let is_of_all = filter == SessionFilter::default();
    let total = u64::try_from(size.events).ok().filter(|_| is_of_all);
    let survey = Survey {
        filter,
        largest: arguments.largest.into(),
    };
    run_job(&survey, &store.calls, context.stop, &|so_far| HowFar {
        done: so_far.events,
        total,
        unit: Unit::Things("events"),
    })
}

fn print_totals(size: &DatabaseSize, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(size);
    }
    let about = match size.counts {
        Counts::Exact => "",
        Counts::Estimate => "about ",
    };
    let count = |rows: i64| format!("{about}{}", HumanCount(u64::try_from(rows).unwrap_or(0)));
    let mut facts = vec![("sessions", count(size.sessions)), ("events", count(size.events))];
    facts.extend(size_facts(size));
    print_facts(&facts, output)
}

/// What is known of the size, by its name.
fn size_facts(size: &DatabaseSize) -> impl Iterator<Item = (&'static str, String)> {
    let parts = [
        ("size", Some(size.data_bytes)),
        ("  free", size.free_bytes),
        ("log beside it", size.log_bytes),
    ];
    let known = parts.into_iter().filter_map(|(name, bytes)| Some((name, bytes?)));
    known.map(|(name, bytes)| (name, numbers::bytes(bytes).to_string()))
}

fn print_facts(facts: &[(&str, String)], output: &mut Output) -> Result<(), Failure> {
    let name_width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let width = facts.iter().map(|(_, fact)| fact.len()).max().unwrap_or(0);
    let mut lines = facts
        .iter()
        .map(|(name, fact)| format!("{name:<name_width$}  {fact:>width$}"));
    lines.try_for_each(|line| output.line(line))
}

fn print(arguments: &Arguments, counted: &Surveyed, size: &DatabaseSize, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        let size = Size {
            data: size.data_bytes,
            free: size.free_bytes,
            log: size.log_bytes,
        };
        return output.json(&Report { counted, size });
    }
    let Volume { events, bytes } = counted.volume;
    let mut facts = vec![
        ("sessions", HumanCount(counted.sessions).to_string()),
        ("  alive", HumanCount(counted.alive).to_string()),
        ("  destroyed", HumanCount(counted.destroyed).to_string()),
    ];
    if counted.without_record > 0 {
        facts.push(("without a record", HumanCount(counted.without_record).to_string()));
    }
    facts.push(("events", HumanCount(events).to_string()));
    facts.push(("  as JSON", numbers::bytes(bytes).to_string()));
    facts.extend(size_facts(size));
    print_facts(&facts, output)?;
    if !counted.largest.is_empty() {
        output.line("\nLargest sessions")?;
        print_largest(counted, output)?;
    }
    if !counted.days.is_empty() {
        output.line("\nEvents a day (UTC)")?;
        print_days(&counted.days, arguments.days, output)?;
    }
    if !counted.kinds.is_empty() {
        output.line("\nBytes by kind of message")?;
        print_kinds(counted, output)?;
    }
    Ok(())
}

fn print_largest(counted: &Surveyed, output: &mut Output) -> Result<(), Failure> {
    let rows = counted.largest.iter().map(|session| {
        let record = session.record.as_ref();
        [
            session.id.clone(),
            record.map_or_else(String::new, |record| record.agent.clone()),
            record.map_or_else(String::new, |record| minute(record.created_at)),
            HumanCount(session.volume.events).to_string(),
            numbers::bytes(session.volume.bytes).to_string(),
        ]
    });
    output.line(Listing {
        columns: [
            Column::new("id", Fit::Breaks),
            Column::new("agent", Fit::Wanted),
            Column::new("created (UTC)", Fit::Wanted),
            Column::new("events", Fit::Needed),
            Column::new("bytes", Fit::Needed),
        ],
        rows: rows.collect(),
        room: output.room(),
    })
}

/// The last days, those without events too.
fn print_days(days: &[DayVolume], shown: u16, output: &mut Output) -> Result<(), Failure> {
    let (Some(oldest), Some(newest)) = (days.first(), days.last()) else {
        return Ok(());
    };
    let first = oldest.begins_at.max(newest.begins_at - (i64::from(shown) - 1) * DAY);
    let mut next = first;
    let mut rows = Vec::new();
    for DayVolume { begins_at, volume } in days.iter().skip_while(|day| day.begins_at < first) {
        while next < *begins_at {
            rows.push((day(next), 0, String::from("0")));
            next += DAY;
        }
        rows.push((day(next), volume.events, HumanCount(volume.events).to_string()));
        next += DAY;
    }
    let lines = bars(output.width(), &rows);
    lines.into_iter().try_for_each(|line| output.line(line))
}

fn print_kinds(counted: &Surveyed, output: &mut Output) -> Result<(), Failure> {
    let rows = counted.kinds.iter().map(|of_kind| {
        let Volume { events, bytes } = of_kind.volume;
        [
            kind_name(&of_kind.kind).to_owned(),
            HumanCount(events).to_string(),
            numbers::bytes(bytes).to_string(),
            percent(bytes, counted.volume.bytes),
        ]
    });
    output.line(Listing {
        columns: [
            Column::new("kind", Fit::Breaks),
            Column::new("events", Fit::Needed),
            Column::new("bytes", Fit::Needed),
            Column::new("share", Fit::Wanted),
        ],
        rows: rows.collect(),
        room: output.room(),
    })
}

fn kind_name(kind: &CountedKind) -> &str {
    match kind {
        CountedKind::Update(name) | CountedKind::Method(name) => name,
        CountedKind::Answer => "(answers)",
        CountedKind::Error => "(answers that are errors)",
        CountedKind::Unknown => "(no JSON-RPC message)",
        CountedKind::Other => "(all others)",
    }
}

/// `12.5%`
fn percent(part: u64, whole: u64) -> String {
    let per_mille = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{}.{}%", per_mille / 10, per_mille % 10)
}
