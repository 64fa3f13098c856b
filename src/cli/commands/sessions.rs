//! `sessions`: lists sessions.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::filters::Filters;
use crate::cli::reading::{Reading, labels_of};
use crate::cli::stderr;
use crate::cli::table::{Column, Fit, Listing};
use crate::cli::time::minute;
use crate::store::access::Access;
use crate::store::cursor::Position;
use crate::store::error::StoreError;
use crate::store::list::{EventList, ListRequest, Order, SessionList};
use crate::store::model::SessionRecord;
use crate::store::page::{PageSize, items, next_cursor};
use crate::store::{Answer, ReadRequest};

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Where there is little room, columns are left out; --json prints the records as they are stored.

Examples:
  sandbox-agent-persist sessions
  sandbox-agent-persist sessions --created-after 7d --label project=shop
  sandbox-agent-persist sessions --limit 1000 --json | jq -r .id")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    filters: Filters,

    /// How many sessions at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Go on where a list with the same filters ended: the cursor that it has shown
    #[arg(long)]
    cursor: Option<String>,

    /// Which come first
    #[arg(long, value_enum, default_value_t = First::Newest)]
    first: First,
}

/// Which sessions come first.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum First {
    Newest,
    Oldest,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let store = context.store.open(Access::Read)?;
    let reading = Reading::of(&store, context.stop);
    let list = SessionList {
        filter: arguments.filters.filter()?,
        order: match arguments.first {
            First::Newest => Order::Descending,
            First::Oldest => Order::Ascending,
        },
    };
    let size = PageSize::items(arguments.limit);
    let cursor = arguments.cursor.as_deref().map(written_cursor).transpose()?;
    let request = ListRequest::new(list, cursor.as_deref(), size)?;
    let Answer::Json(page) = reading.read(request.into())? else {
        return Err(StoreError::internal("a list was answered with no page").into());
    };
    let texts = items(&page)?;
    if context.output.is_json() {
        texts.iter().try_for_each(|text| context.output.json_text(text))?;
    } else if texts.is_empty() {
        stderr::say(format_args!("there are no such sessions in {}", store.name));
    } else {
        let listing = Listing {
            columns: COLUMNS,
            rows: rows(&reading, &texts)?,
            room: context.output.room(),
        };
        context.output.line(listing)?;
    }
    if let Some(cursor) = next_cursor(&page)? {
        context.output.flush()?;
        stderr::say(format_args!(
            "there are more: go on with --cursor {}, or with a larger --limit",
            utf8_percent_encode(&cursor, IN_CURSORS)
        ));
    }
    Ok(store.close()?)
}

/// What is percent-encoded in a cursor. The id of a session is in it, which may hold what a shell or a terminal acts on.
const IN_CURSORS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b':').remove(b'_');

/// The cursor that was written so.
fn written_cursor(text: &str) -> Result<Cow<'_, str>, Failure> {
    let cursor = percent_decode_str(text).decode_utf8();
    cursor.map_err(|_| {
        Failure::Usage(String::from(
            "the cursor is not one that `sessions` has told: copy it unchanged",
        ))
    })
}

/// In order of their worth.
const COLUMNS: [Column; 7] = [
    Column::new("id", Fit::Needed),
    Column::new("agent", Fit::Needed),
    Column::new("last event (UTC)", Fit::Needed),
    Column::new("created (UTC)", Fit::Wanted),
    Column::new("labels", Fit::Breaks),
    Column::new("destroyed (UTC)", Fit::Wanted),
    Column::new("sandbox", Fit::Wanted),
];

fn rows(reading: &Reading<'_>, records: &[&str]) -> Result<Vec<[String; 7]>, Failure> {
    let records = records.iter().map(|text| SessionRecord::parse(text));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    let ids = || records.iter().map(|record| record.id.to_string());
    let labels = reading.read_all(ids().map(|session_id| ReadRequest::GetLabels { session_id }).collect())?;
    let newest = reading.read_all(ids().map(newest_event).collect())?;
    let rows = records
        .iter()
        .zip(labels)
        .zip(newest)
        .map(|((record, labels), newest)| {
            let labels = labels_of(&labels)?;
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            Ok([
                record.id.to_string(),
                record.agent.to_string(),
                time_of(&newest)?.map(minute).unwrap_or_default(),
                minute(record.created_at),
                labels.join(" "),
                record.destroyed_at.map(minute).unwrap_or_default(),
                record.sandbox_id.as_deref().unwrap_or_default().to_owned(),
            ])
        });
    rows.collect()
}

/// Asks for the newest event of a session.
fn newest_event(session_id: String) -> ReadRequest {
    let list = EventList {
        order: Order::Descending,
        ..EventList::all(session_id)
    };
    ReadRequest::ListEvents(ListRequest {
        list,
        position: Position::Offset(0),
        size: PageSize::items(1),
    })
}

/// When the event on a page was made.
fn time_of(page: &Answer) -> Result<Option<i64>, StoreError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Event {
        created_at: i64,
    }
    let Answer::Json(page) = page else {
        return Ok(None);
    };
    let time = |text: &&str| serde_json::from_str(text).map(|Event { created_at }| created_at);
    let time = items(page)?.first().map(time).transpose();
    time.map_err(|error| StoreError::internal(&format!("an event could not be read: {error}")))
}
