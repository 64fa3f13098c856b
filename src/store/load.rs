//! Loading sessions from elsewhere: events with the indexes that they have, many at a time. The job that copies sends one step
//! after another; both backends do them.
//!
//! An event that is there already, under the same id at the same place, is left as it is. So a step can be done again, and what a
//! compaction has made of an event meanwhile is not undone.

use std::collections::HashSet;
use std::time::Duration;

use super::error::{ErrorKind, Quoted, StoreError};
use super::labels::LabelChanges;
use super::model::{SessionEvent, SessionRecord};
use super::write::check_size;

/// What is loaded together. Callers bound it: other writers of an SQLite database wait for as long as it takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadStep {
    /// Each of another session.
    pub parts: Vec<SessionPart>,
}

/// The next events of a session. All of them are stored, or nothing of the part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPart {
    /// The session's id.
    pub session_id: String,
    /// The index of the event that they come after, where they go on with what the session has. If it is not there any more, somebody
    /// else has removed it, and the part is refused.
    pub follows: Option<i64>,
    /// JSON texts of events, in the ascending order of their indexes.
    pub events: Vec<String>,
    /// What makes the session whole. It comes with its last events.
    pub end: Option<SessionEnd>,
}

/// What a session has beside its events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionEnd {
    /// JSON text of the record. There are sessions without one.
    pub record: Option<String>,
    /// Which labels are set and removed.
    pub labels: LabelChanges,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// What came of each part, in their order.
    pub parts: Vec<PartResult>,
    /// How long it took, so long as nobody else could write.
    pub took: Duration,
}

/// What came of a part: it is stored, or nothing of it is.
///
/// Where another event has a place of it, or the event that it follows is gone, the error is an [`ErrorKind::IndexConflict`]; where the
/// session was deleted, [`ErrorKind::NotFound`].
pub type PartResult = Result<(), StoreError>;

/// Removes the newest events of a session that is loaded only in part: some at a time, the highest indexes first. The session may
/// be loaded again at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeBack {
    /// The session's id.
    pub session_id: String,
    /// The highest index that stays.
    pub after_index: i64,
    /// The index of the last event that was loaded. Where others come after it, somebody else has gone on with the session, or it was
    /// made whole: then nothing is removed.
    pub through_index: i64,
}

/// What came of taking back some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenBack {
    /// How many events were removed.
    pub events: u64,
    /// Whether there are others.
    pub is_more: bool,
    /// How long it took, so long as nobody else could write.
    pub took: Duration,
}

impl LoadStep {
    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.parts.iter().map(SessionPart::text_bytes).sum()
    }

    /// The sessions of its parts.
    pub fn session_ids(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.session_id.as_str())
    }

    /// Reads and checks all parts.
    #[must_use]
    pub fn check(&self) -> Vec<Result<CheckedPart<'_>, StoreError>> {
        let mut sessions = HashSet::new();
        let each = self.parts.iter().map(|part| {
            if !sessions.insert(&*part.session_id) {
                return Err(StoreError::internal("a session has two parts in one step"));
            }
            part.check()
        });
        each.collect()
    }
}

impl SessionPart {
    fn text_bytes(&self) -> usize {
        let events: usize = self.events.iter().map(|event| event.len() + size_of::<String>()).sum();
        let end = self.end.as_ref().map_or(0, |end| {
            end.record.as_ref().map_or(0, String::len) + end.labels.text_bytes()
        });
        self.session_id.len() + events + end
    }

    fn check(&self) -> Result<CheckedPart<'_>, StoreError> {
        let mut events = Vec::with_capacity(self.events.len());
        let mut last = None;
        for text in &self.events {
            check_size(text)?;
            let event = SessionEvent::parse(&self.session_id, text)?;
            if last >= Some(event.event_index) {
                return Err(StoreError::invalid(format!(
                    "event {} of session {} comes after one with the same index or a higher one: a session's events must have \
                     ascending indexes",
                    event.event_index,
                    Quoted(&self.session_id)
                )));
            }
            last = Some(event.event_index);
            events.push(event);
        }
        let record = self.end.as_ref().and_then(|end| end.record.as_deref());
        Ok(CheckedPart {
            session_id: &self.session_id,
            follows: self.follows,
            events,
            record: record.map(|text| self.check_record(text)).transpose()?,
            labels: self.end.as_ref().map(|end| &end.labels),
        })
    }

    fn check_record<'a>(&self, text: &'a str) -> Result<SessionRecord<'a>, StoreError> {
        check_size(text)?;
        let record = SessionRecord::parse(text)?;
        if record.id != self.session_id {
            return Err(StoreError::invalid(format!(
                "session.id is {}, but the record was given for session {}: they must be the same",
                Quoted(&record.id),
                Quoted(&self.session_id)
            )));
        }
        Ok(record)
    }
}

/// A part that has been read and checked.
#[derive(Debug)]
pub struct CheckedPart<'a> {
    /// The session's id.
    pub session_id: &'a str,
    /// The index of the event that must be there.
    pub follows: Option<i64>,
    /// In ascending order of their indexes.
    pub events: Vec<SessionEvent<'a>>,
    /// The session's record, if it comes with this part.
    pub record: Option<SessionRecord<'a>>,
    /// The session's labels, if they do.
    pub labels: Option<&'a LabelChanges>,
}

impl CheckedPart<'_> {
    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> String {
        doing(self.session_id)
    }
}

/// What an error says was being done; the name of the database follows.
#[must_use]
pub fn doing(session_id: &str) -> String {
    format!("loading session {} into", Quoted(session_id))
}

/// Another event is where one of the part is to be.
#[must_use]
pub fn place_taken(doing: &str, event_index: i64) -> StoreError {
    StoreError::new(
        ErrorKind::IndexConflict,
        format!(
            "{doing} failed: another event has the place of event {event_index}, so the session went on there by itself; nothing \
             of it was stored in this step"
        ),
    )
}

/// The event that a part follows is gone.
#[must_use]
pub fn nothing_to_follow(doing: &str, event_index: i64) -> StoreError {
    StoreError::new(
        ErrorKind::IndexConflict,
        format!(
            "{doing} failed: event {event_index}, which was there, is gone: somebody has compacted, pruned or deleted the session meanwhile, \
             or has ended another copy of it; nothing of it was stored in this step"
        ),
    )
}
