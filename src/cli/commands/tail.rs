//! `tail`: follows a session.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::reading::Reading;
use crate::cli::transcript::{Live, last};
use crate::store::access::Access;
use crate::store::error::StoreError;
use crate::store::follow::{BEFORE_ALL, FollowerId};
use crate::store::jobs::News;
use crate::store::model::SessionEvent;

/// How much of what was said before is printed, where nothing is asked for.
const LAST: u32 = 10;

/// How often it looks whether the user wants an end, while nothing comes.
const TURN: Duration = Duration::from_millis(50);

/// See the help.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It ends when the session is deleted, or by Ctrl-C. With --json it prints the events as they are stored, one a line.

Examples:
  sandbox-agent-persist tail my-session
  sandbox-agent-persist tail my-session --last 0
  sandbox-agent-persist tail my-session --after 120 --json")]
pub(in crate::cli) struct Arguments {
    /// The session's id
    id: String,

    /// Begin with the last N entries, as `show` counts them; with --json with the last N events [default: 10]
    #[arg(long, value_name = "N", conflicts_with = "after")]
    last: Option<u32>,

    /// Begin after the event with this index
    #[arg(long, value_name = "INDEX")]
    after: Option<i64>,
}

pub(in crate::cli) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let store = context.store.open(Access::Read)?;
    let reading = Reading::of(&store, context.stop);
    let id = &arguments.id;
    reading.session(id)?;
    let after = match arguments.after {
        Some(index) => index,
        None => begin(&reading, id, arguments.last.unwrap_or(LAST), context.output.is_json())?,
    };
    let mut view = if context.output.is_json() {
        View::Json
    } else {
        View::People(Box::new(Live::new()))
    };
    let follower = FollowerId(0);
    store.calls.follow(follower, id, after);
    let mut next = store.calls.next_events(follower);
    loop {
        reading.check()?;
        match next.within(TURN)? {
            News::Events(events) => {
                view.print(id, &events, context.output)?;
                next = store.calls.next_events(follower);
            }
            News::None => {}
            News::End => break,
        }
    }
    view.finish(context.output)?;
    Ok(store.close()?)
}

/// After which event the last `count` entries, or events, begin.
fn begin(reading: &Reading<'_>, id: &str, count: u32, of_events: bool) -> Result<i64, Failure> {
    if count == 0 {
        return Ok(reading.newest_index(id)?.unwrap_or(BEFORE_ALL));
    }
    if of_events {
        return Ok(reading.before_last(id, count)?.unwrap_or(BEFORE_ALL));
    }
    let first = last(reading, id, count)?.first_index();
    Ok(first.map_or(BEFORE_ALL, |first| first - 1))
}

/// How events are printed.
enum View {
    People(Box<Live>),
    Json,
}

impl View {
    /// Prints the events of a JSON text, which is an array of them.
    fn print(&mut self, id: &str, events: &str, output: &mut Output) -> Result<(), Failure> {
        let events: Vec<&RawValue> = serde_json::from_str(events)
            .map_err(|error| StoreError::internal(&format!("followed events could not be read: {error}")))?;
        for event in events {
            match self {
                Self::People(live) => live.push(&SessionEvent::parse(id, event.get())?, output)?,
                Self::Json => output.json_text(event.get())?,
            }
        }
        match self {
            Self::People(live) => live.pause(output),
            Self::Json => output.flush(),
        }
    }

    fn finish(self, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::People(live) => live.finish(output),
            Self::Json => Ok(()),
        }
    }
}
