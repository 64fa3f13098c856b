//! What copies and surveys read: records, labels and events of many sessions at once, so that a server that is far is asked seldom.
//! `jobs/copy` and `jobs/survey` ask, and both backends answer.

use std::collections::BTreeMap;

/// Past so many bytes of JSON text one answer has no other event.
pub const MOST_BYTES: usize = 4 << 20;

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// The records and labels of the sessions with these ids.
    Heads(Vec<String>),
    /// Events of sessions, from the first session to the last.
    Events(EventScan),
    /// Sessions of events that have no record: those after this id, or from the first.
    Unrecorded(Option<String>),
    /// Which tables of which database these are.
    Identity,
}

/// Which events are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventScan {
    /// Of which sessions, and from where on in each. None is named twice.
    pub starts: Vec<Start>,
    /// How many events at most, which is one at least.
    pub most_events: u32,
}

/// Where the events of a session begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The session's id.
    pub session_id: String,
    /// They come after this index.
    pub after: i64,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// Of each session, in the order in which they were asked for.
    Heads(Vec<Head>),
    /// Of the first sessions that were asked for, which is one at least: the last of them may have more.
    Events(Vec<Run>),
    /// Sessions without a record.
    Unrecorded(Unrecorded),
    /// The same for all who use the same tables, and no secret.
    Identity(String),
}

/// What a session has beside its events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The JSON text of its record, if it has one.
    pub record: Option<String>,
    /// Its labels: names and values.
    pub labels: BTreeMap<String, String>,
}

/// Events of a session that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// Their JSON texts.
    pub events: Vec<String>,
    /// The index of the last one.
    pub last: Option<i64>,
    /// Whether others may follow. Where they may, there are some here.
    pub is_more: bool,
}

/// A page of sessions without a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unrecorded {
    /// Their ids. There may be none on a page that others follow.
    pub ids: Vec<String>,
    /// The next page comes after this id. Nothing, when there is no next page.
    pub next: Option<String>,
}

impl Start {
    /// The events of a session after this index.
    #[must_use]
    pub fn new(session_id: &str, after: i64) -> Self {
        Self {
            session_id: session_id.to_owned(),
            after,
        }
    }
}

impl Scan {
    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> &'static str {
        match self {
            Self::Heads(_) | Self::Unrecorded(_) => "reading sessions from",
            Self::Events(_) => "reading events from",
            Self::Identity => "looking at the tables of",
        }
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Heads(ids) => ids.iter().map(String::len).sum(),
            Self::Events(scan) => scan.starts.iter().map(|start| start.session_id.len()).sum(),
            Self::Unrecorded(after) => after.as_ref().map_or(0, String::len),
            Self::Identity => 0,
        }
    }
}

/// Runs in the making, of a scan's sessions in their order.
#[derive(Debug, Default)]
pub struct Runs {
    done: Vec<Run>,
    events: u32,
    bytes: usize,
}

impl Runs {
    /// Whether there is no place for another event.
    #[must_use]
    pub fn are_full(&self, scan: &EventScan) -> bool {
        self.events >= scan.most_events.max(1) || self.bytes >= MOST_BYTES
    }

    /// Adds the next event, of the session at this place of the scan.
    pub fn push(&mut self, place: usize, index: i64, event: String) {
        self.come_to(place);
        self.events += 1;
        self.bytes += event.len();
        if let Some(run) = self.done.last_mut() {
            run.events.push(event);
            run.last = Some(index);
        }
    }

    /// The events of all sessions before this place are there.
    pub fn come_to(&mut self, place: usize) {
        while self.done.len() <= place {
            self.done.push(Run::default());
        }
    }

    /// All that was asked for was read.
    #[must_use]
    pub fn complete(mut self, scan: &EventScan) -> Scanned {
        self.done.resize_with(scan.starts.len(), Run::default);
        Scanned::Events(self.done)
    }

    /// The last session has no more, and nobody has looked at those after it.
    #[must_use]
    pub fn so_far(self) -> Scanned {
        Scanned::Events(self.done)
    }

    /// The last session may have more, and nobody has looked at those after it.
    #[must_use]
    pub fn cut_off(mut self) -> Scanned {
        if let Some(run) = self.done.last_mut() {
            run.is_more = true;
        }
        Scanned::Events(self.done)
    }
}
