//! `sessions`: lists sessions.

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::filters::Filters;
use crate::cli::store::Access;
use crate::cli::table::table;
use crate::cli::time::minute;
use crate::store::error::StoreError;
use crate::store::list::{ListRequest, Order, SessionList};
use crate::store::model::SessionRecord;
use crate::store::page::{PageSize, items};
use crate::store::{Answer, ReadRequest};

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sandbox-agent-persist sessions
  sandbox-agent-persist sessions --limit 5 --json")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    filters: Filters,

    /// How many sessions, the newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let store = context.store.open(Access::Read)?;
    let list = SessionList {
        filter: arguments.filters.filter(),
        order: Order::Descending,
    };
    let request = ReadRequest::ListSessions(ListRequest::new(list, None, PageSize::items(arguments.limit))?);
    let Answer::Json(page) = store.calls.read(request)? else {
        return Err(StoreError::internal("a list was answered with no page").into());
    };
    store.close()?;
    let texts = items(&page)?;
    if context.output.is_json() {
        return texts.into_iter().try_for_each(|text| context.output.line(text));
    }
    let rows = texts.into_iter().map(|text| {
        let record = SessionRecord::parse(text)?;
        Ok([
            minute(record.created_at),
            record.id.into_owned(),
            record.agent.into_owned(),
        ])
    });
    let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
    context
        .output
        .line(table(context.output.width(), ["created (UTC)", "id", "agent"], rows))
}
