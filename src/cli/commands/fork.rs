//! `fork`: copies a session under a new id.

use uuid::Uuid;

use crate::cli::Context;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::store::OpenStore;
use crate::cli::text::Printable;
use crate::store::Answer;
use crate::store::access::Access;
use crate::store::error::{Quoted, StoreError};
use crate::store::fork::ForkRequest;
use crate::store::model::SessionRecord;
use crate::store::single::SingleRequest;

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints the new id.

Examples:
  sandbox-agent-persist fork my-session
  sandbox-agent-persist fork my-session --through-index 41 --id my-fork --yes")]
pub(in crate::cli) struct Arguments {
    /// The session's id
    id: String,

    /// The id of the copy; a random one if there is none
    #[arg(long = "id", value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    fork_id: Option<String>,

    /// The index of the last event that is copied; without it, all are
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    through_index: Option<i64>,

    #[command(flatten)]
    confirmation: Confirmation,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    arguments.confirmation.check_can_ask()?;
    let store = context.store.open(Access::Write)?;
    let done = fork(arguments, &store, context);
    let record = store.close_after(done)?;
    if context.output.is_json() {
        return context.output.json_text(&record);
    }
    let id = SessionRecord::parse(&record)?.id;
    context.output.line(Printable(&id))
}

/// Copies the session, and comes back with the record of the copy.
fn fork(arguments: &Arguments, store: &OpenStore, context: &Context<'_>) -> Result<String, Failure> {
    store.check_has(&arguments.id)?;
    let fork_id = arguments.fork_id.clone();
    let fork_id = fork_id.unwrap_or_else(|| Uuid::new_v4().to_string());
    let until = arguments.through_index.map(|index| format!(" up to its event {index}"));
    let change = format!(
        "This copies session {}{} to session {} in {}",
        Quoted(&arguments.id),
        until.unwrap_or_default(),
        Quoted(&fork_id),
        store.name
    );
    arguments.confirmation.ask(&change, context)?;
    let request = ForkRequest::new(arguments.id.clone(), fork_id, arguments.through_index)?;
    match store.calls.write(SingleRequest::Fork(request).into())? {
        Answer::Json(record) => Ok(record),
        answer => Err(StoreError::internal(&format!("a fork was answered with {answer:?}")).into()),
    }
}
