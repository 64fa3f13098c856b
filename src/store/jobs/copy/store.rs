//! A store as a source: its sessions in their order, then those that have events and no record, by their ids. One call of the store
//! reads events of many small sessions.

use std::collections::VecDeque;

use super::checksum::{self, SessionSum};
use super::source::{BYTES_AT_ONCE, EVENTS_AT_ONCE, NoEvents, Source, SourceSession};
use crate::store::ReadRequest;
use crate::store::answer::{Answer, JobAnswer};
use crate::store::error::{ErrorKind, Quoted, StoreError};
use crate::store::jobs::pages::Pages;
use crate::store::jobs::{Calls, Ended};
use crate::store::list::{Order, SessionFilter, SessionList};
use crate::store::model::SessionRecord;
use crate::store::page::items;
use crate::store::scan::{EventScan, Head, Run, Scan, Scanned, Start};

/// Of how many sessions one call reads.
const SESSIONS_AT_ONCE: usize = 500;

/// How long an event is about, by those seen last.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventSize(usize);

impl Default for EventSize {
    /// As long as none was seen.
    fn default() -> Self {
        Self(2_000)
    }
}

/// See the module's description.
pub struct StoreSource {
    store: Box<dyn Calls<()> + Send>,
    upcoming: Upcoming,
    /// Sessions that are known of; the first is the next one.
    queue: VecDeque<SourceSession>,
    /// Events of the session that was given last, and of those that come next, as far as they are read.
    read: VecDeque<(String, Run)>,
    /// The session that was given last, if it may have more events.
    given: Option<Given>,
    size: EventSize,
}

/// A session, as far as its events were given.
struct Given {
    session_id: String,
    /// The last event that was.
    last: Option<Boundary>,
}

/// The last event of a page. As long as it stays, the page after it goes with those before it: what joins events of both, or removes
/// them, changes it or removes it too, and nothing brings it back.
struct Boundary {
    event_index: i64,
    sum: SessionSum,
}

/// Which sessions of a store are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All, those without a record too.
    All,
    /// Those that meet a filter. One without a record meets none.
    Filtered(SessionFilter),
    /// Those with these ids; one that is not there is an error.
    Ids(Vec<String>),
}

/// Where the next sessions come from.
enum Upcoming {
    /// Pages of records, and whether those without a record come after them.
    Recorded(Box<Pages<SessionList>>, bool),
    /// Those without a record, after this id.
    Unrecorded(Option<String>),
    Ids(VecDeque<String>),
    Nothing,
}

impl StoreSource {
    /// The sessions of a store that are selected.
    pub fn new(store: impl Calls<()> + Send + 'static, selection: Selection) -> Self {
        let recorded = |filter, is_all| {
            let list = SessionList {
                filter,
                order: Order::Ascending,
            };
            Upcoming::Recorded(Box::new(Pages::of(list)), is_all)
        };
        Self {
            store: Box::new(store),
            upcoming: match selection {
                Selection::All => recorded(SessionFilter::default(), true),
                Selection::Filtered(filter) => recorded(filter, false),
                Selection::Ids(ids) => Upcoming::Ids(ids.into()),
            },
            queue: VecDeque::new(),
            read: VecDeque::new(),
            given: None,
            size: EventSize::default(),
        }
    }

    /// Learns of the next sessions; there may be none on a page that others follow.
    fn next_page(&mut self) -> Result<(), Ended> {
        let ids = match &mut self.upcoming {
            Upcoming::Nothing => return Ok(()),
            Upcoming::Recorded(pages, is_all) => {
                let Some(page) = pages.next(&*self.store)? else {
                    self.upcoming = if *is_all {
                        Upcoming::Unrecorded(None)
                    } else {
                        Upcoming::Nothing
                    };
                    return Ok(());
                };
                let id = |text| Ok(SessionRecord::parse(text)?.id.into_owned());
                items(&page)?.into_iter().map(id).collect::<Result<_, StoreError>>()?
            }
            Upcoming::Unrecorded(after) => {
                let Scanned::Unrecorded(page) = scan(&*self.store, Scan::Unrecorded(after.take()))? else {
                    return Err(unexpected());
                };
                self.upcoming = page.next.map_or(Upcoming::Nothing, |id| Upcoming::Unrecorded(Some(id)));
                page.ids
            }
            Upcoming::Ids(ids) => {
                let some = ids.drain(..ids.len().min(SESSIONS_AT_ONCE)).collect();
                if ids.is_empty() {
                    self.upcoming = Upcoming::Nothing;
                }
                some
            }
        };
        self.add(ids)
    }

    fn add(&mut self, ids: Vec<String>) -> Result<(), Ended> {
        let heads = heads(&*self.store, &ids)?;
        let sessions = ids.into_iter().zip(heads);
        self.queue
            .extend(sessions.map(|(id, Head { record, labels })| SourceSession { id, record, labels }));
        Ok(())
    }

    /// Reads events of the session that was given last, after this index, and of those that come next.
    fn read_on(&mut self, session_id: &str, after: i64) -> Result<(), Ended> {
        let mut starts = vec![Start::new(session_id, after)];
        let next = self.queue.iter().take(SESSIONS_AT_ONCE);
        starts.extend(next.map(|session| Start::new(&session.id, i64::MIN)));
        let runs = events(&*self.store, &starts, &mut self.size)?;
        self.read = starts.into_iter().map(|start| start.session_id).zip(runs).collect();
        Ok(())
    }

    /// Refuses to go on in a session whose pages do not go together.
    fn check_unchanged(&self, session_id: &str, last: &Boundary) -> Result<(), NoEvents> {
        let start = Start::new(session_id, last.event_index.saturating_sub(1));
        // Of one event, however short it is.
        let runs = events(&*self.store, &[start], &mut EventSize(BYTES_AT_ONCE))?;
        let event = runs.first().and_then(|run| run.events.first());
        if event.is_some_and(|event| sum_of(event) == last.sum) {
            return Ok(());
        }
        Err(NoEvents::Changed(StoreError::new(
            ErrorKind::Unavailable,
            format!(
                "session {} was compacted, pruned or deleted while it was read: do the same again",
                Quoted(session_id)
            ),
        )))
    }
}

impl Source for StoreSource {
    fn next_session(&mut self) -> Result<Option<SourceSession>, Ended> {
        while self.queue.is_empty() {
            if matches!(self.upcoming, Upcoming::Nothing) {
                return Ok(None);
            }
            self.next_page()?;
        }
        let session = self.queue.pop_front();
        self.given = session.as_ref().map(|session| Given {
            session_id: session.id.clone(),
            last: None,
        });
        Ok(session)
    }

    fn has_events(&mut self) -> Result<bool, NoEvents> {
        let Some(given) = self.given.take() else {
            return Ok(false);
        };
        let Given { session_id, last } = &given;
        // What is read of sessions before it is not wanted any more.
        while self.read.front().is_some_and(|(read, _)| read != session_id) {
            self.read.pop_front();
        }
        if self.read.is_empty() {
            let after = last.as_ref().map_or(i64::MIN, |last| last.event_index);
            self.read_on(session_id, after)?;
        }
        let has_events = self.read.front().is_some_and(|(_, run)| !run.events.is_empty());
        if let (false, Some(last)) = (has_events, last) {
            self.check_unchanged(session_id, last)?;
        }
        self.given = has_events.then_some(given);
        Ok(has_events)
    }

    fn next_events(&mut self) -> Result<Vec<String>, NoEvents> {
        if !self.has_events()? {
            return Ok(Vec::new());
        }
        let (Some(Given { session_id, last }), Some((_, run))) = (self.given.take(), self.read.pop_front()) else {
            return Ok(Vec::new());
        };
        if let Some(last) = last {
            self.check_unchanged(&session_id, &last)?;
        }
        if let (true, Some(event_index), Some(event)) = (run.is_more, run.last, run.events.last()) {
            self.given = Some(Given {
                session_id,
                last: Some(Boundary {
                    event_index,
                    sum: sum_of(event),
                }),
            });
        }
        Ok(run.events)
    }
}

/// The checksum of one event.
fn sum_of(event: &str) -> SessionSum {
    let mut sum = checksum::Events::default();
    sum.push(event);
    sum.sum()
}

/// Reads events of these sessions, as many as are about [`BYTES_AT_ONCE`] long.
pub(super) fn events<P>(store: &dyn Calls<P>, starts: &[Start], size: &mut EventSize) -> Result<Vec<Run>, Ended> {
    let most_events = (BYTES_AT_ONCE / size.0.max(1)).clamp(1, EVENTS_AT_ONCE);
    let request = EventScan {
        starts: starts.to_vec(),
        most_events: u32::try_from(most_events).unwrap_or(u32::MAX),
    };
    let Scanned::Events(runs) = scan(store, Scan::Events(request))? else {
        return Err(unexpected());
    };
    let events = runs.iter().flat_map(|run| &run.events);
    let (count, bytes) = events.fold((0, 0), |(count, bytes), event| (count + 1, bytes + event.len()));
    if let Some(bytes) = bytes.checked_div(count) {
        size.0 = bytes;
    }
    Ok(runs)
}

/// Reads the records and labels of these sessions.
pub(super) fn heads<P>(store: &dyn Calls<P>, ids: &[String]) -> Result<Vec<Head>, Ended> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    match scan(store, Scan::Heads(ids.to_vec()))? {
        Scanned::Heads(heads) => Ok(heads),
        _ => Err(unexpected()),
    }
}

/// Which tables of which database it is: the same text for all who use the same.
pub fn identity<P>(store: &dyn Calls<P>) -> Result<String, Ended> {
    match scan(store, Scan::Identity)? {
        Scanned::Identity(identity) => Ok(identity),
        _ => Err(unexpected()),
    }
}

/// The first of these ids under which nothing is stored.
pub fn first_absent<'a, P>(store: &dyn Calls<P>, ids: &'a [String]) -> Result<Option<&'a str>, Ended> {
    for some in ids.chunks(SESSIONS_AT_ONCE) {
        let heads = heads(store, some)?;
        let without = some.iter().zip(heads).filter(|(_, head)| head.record.is_none());
        for (id, _) in without {
            let runs = events(store, &[Start::new(id, i64::MIN)], &mut EventSize(BYTES_AT_ONCE))?;
            if runs.iter().all(|run| run.events.is_empty()) {
                return Ok(Some(id));
            }
        }
    }
    Ok(None)
}

fn scan<P>(store: &dyn Calls<P>, scan: Scan) -> Result<Scanned, Ended> {
    match store.read(ReadRequest::Scan(scan))? {
        Answer::OfJob(JobAnswer::Scanned(scanned)) => Ok(scanned),
        answer => Err(Ended::unexpected(&answer)),
    }
}

fn unexpected() -> Ended {
    StoreError::internal("a scan was answered with what it did not ask for").into()
}
