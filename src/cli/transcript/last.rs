//! Finds the last entries of a session, from its end: what it costs does not depend on how long the session is.

use super::entries::Transcript;
use super::entry::{Entry, Kind};
use crate::cli::failure::Failure;
use crate::cli::reading::Reading;
use crate::store::jobs::pages::Pages;
use crate::store::list::{EventList, Order};
use crate::store::model::SessionEvent;
use crate::store::page::items;

/// How many events are read at most. A message may have so many pieces that its beginning is not among them.
const MOST_EVENTS: usize = 20_000;

/// How much text is read at most.
const MOST_BYTES: usize = 32 << 20;

/// The last entries of a session.
pub(in crate::cli) struct Last {
    /// In their order.
    pub(in crate::cli) entries: Vec<Entry>,
    /// Whether there is anything before them.
    pub(in crate::cli) are_cut: bool,
}

impl Last {
    /// The index of the event with which they begin.
    pub(in crate::cli) fn first_index(&self) -> Option<i64> {
        self.entries.iter().map(|entry| entry.first_index).min()
    }
}

/// The last `count` entries of a session.
pub(in crate::cli) fn last(reading: &Reading<'_>, session_id: &str, count: u32) -> Result<Last, Failure> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut pages = Pages::of(EventList {
        order: Order::Descending,
        ..EventList::all(session_id.to_owned())
    });
    let mut events: Vec<String> = Vec::new();
    let mut bytes = 0;
    let mut enough = 0;
    loop {
        let page = reading.page(&mut pages)?;
        let is_all = page.is_none();
        for event in items(page.as_deref().unwrap_or(r#"{"items":[]}"#))? {
            bytes += event.len();
            events.push(event.to_owned());
        }
        let is_most = events.len() >= MOST_EVENTS || bytes >= MOST_BYTES;
        // To look each time would take the square of their number.
        if !(is_all || is_most || events.len() >= enough) {
            continue;
        }
        enough = events.len() * 2;
        let mut transcript = Transcript::default();
        for event in events.iter().rev() {
            transcript.push(&SessionEvent::parse(session_id, event)?);
        }
        let mut entries = transcript.finish();
        let more = entries.len().saturating_sub(count);
        let is_whole = more > 0 && entries[more..].iter().all(has_begun);
        if is_all || is_most || is_whole {
            entries.drain(..more);
            return Ok(Last {
                entries,
                are_cut: more > 0 || (!is_all && reading.page(&mut pages)?.is_some()),
            });
        }
    }
}

/// Whether it is known what it is about: of a tool call, that stands in its first event alone.
fn has_begun(entry: &Entry) -> bool {
    !matches!(&entry.kind, Kind::ToolCall(call) if call.title.is_none())
}
