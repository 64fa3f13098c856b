//! `delete`: deletes sessions.

use serde::Serialize;

use crate::cli::Context;
use crate::cli::confirm::Confirmation;
use crate::cli::failure::Failure;
use crate::cli::jobs::run_job;
use crate::cli::numbers::{bytes, counted};
use crate::cli::progress::{HowFar, Unit};
use crate::cli::store::OpenStore;
use crate::cli::text::Printable;
use crate::store::access::Access;
use crate::store::jobs::delete::{CountSessions, DeleteSessions, Extent};

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Whoever still writes to a session that is deleted gets an error, and its id cannot be used again for 30 days.

Examples:
  sandbox-agent-persist delete my-session
  sandbox-agent-persist delete --yes my-session my-other-session")]
pub(in crate::cli) struct Arguments {
    /// The ids of the sessions
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    confirmation: Confirmation,
}

/// What came of a session, as JSON.
#[derive(Debug, Serialize)]
struct Deleted<'a> {
    id: &'a str,
    deleted: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    arguments.confirmation.check_can_ask()?;
    let store = context.store.open(Access::Write)?;
    let mut ids = arguments.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    let done = delete(&ids, &arguments.confirmation, &store, context);
    let done = done.map(|extents| {
        let missing = ids.iter().zip(&extents).find(|(_, extent)| **extent == Extent::Nothing);
        let missing = missing.map(|(id, _)| store.has_no(id));
        (extents, missing)
    });
    let (extents, missing) = store.close_after(done)?;
    for (id, extent) in ids.iter().zip(extents) {
        let deleted = extent != Extent::Nothing;
        if context.output.is_json() {
            context.output.json(&Deleted { id, deleted })?;
        } else if deleted {
            context.output.line(format_args!("deleted {}", Printable(id)))?;
        }
    }
    missing.map_or(Ok(()), Err)
}

/// Deletes what there is, and comes back with what there was of each.
fn delete(
    ids: &[String],
    confirmation: &Confirmation,
    store: &OpenStore,
    context: &Context<'_>,
) -> Result<Vec<Extent>, Failure> {
    let count = CountSessions {
        session_ids: ids.to_vec(),
    };
    let extents = run_job(&count, &store.calls, context.stop, &|counted| HowFar {
        done: counted.events,
        total: None,
        unit: Unit::Things("events counted"),
    })?;
    let found: Vec<String> = ids
        .iter()
        .zip(&extents)
        .filter(|(_, extent)| **extent != Extent::Nothing)
        .map(|(id, _)| id.clone())
        .collect();
    if found.is_empty() {
        return Ok(extents);
    }
    let change = format!("This deletes {} from {}", words(&extents), store.name);
    confirmation.ask(&change, context)?;
    let total = u64::try_from(found.len()).ok();
    let job = DeleteSessions { session_ids: found };
    run_job(&job, &store.calls, context.stop, &|sessions| HowFar {
        done: *sessions,
        total,
        unit: Unit::Things("sessions"),
    })?;
    Ok(extents)
}

/// `2 sessions with 3 events (1.20 kB of JSON), and what there is of 1 session without a record`
fn words(extents: &[Extent]) -> String {
    let (mut sessions, mut events, mut text, mut without_record) = (0, 0, 0, 0);
    for extent in extents {
        match extent {
            Extent::Session { events: more, bytes } => {
                sessions += 1;
                events += more;
                text += bytes;
            }
            Extent::WithoutRecord => without_record += 1,
            Extent::Nothing => {}
        }
    }
    let whole = (sessions > 0).then(|| {
        let [sessions, events] = [counted(sessions, "session"), counted(events, "event")];
        format!("{sessions} with {events} ({} of JSON)", bytes(text))
    });
    let rest = (without_record > 0).then(|| {
        let sessions = counted(without_record, "session");
        format!("what there is of {sessions} without a record")
    });
    whole.into_iter().chain(rest).collect::<Vec<_>>().join(", and ")
}
