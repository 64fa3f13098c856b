//! Writes, from the text that they are called with to what is checked. `bindings` makes them, [`super::commit`] and the
//! queues of `postgres` keep them, and both backends read them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::answer::Answer;
use super::backlog::{Admitted, Backlog};
use super::error::{Quoted, StoreError};
use super::model::{SessionEvent, SessionRecord};
use super::operation::{Measured, Operation};
use super::single::SingleRequest;
use super::upkeep::UpkeepRequest;

/// How long the JSON text of one record or event may be: V8's longest string, 2^29 - 24, which it counts in bytes when
/// it takes UTF-8, less the frame of a page.
pub const MAX_WRITE_BYTES: usize = (1 << 29) - 24 - 1024;

/// A write as it was called.
#[derive(Debug)]
pub enum WriteRequest {
    /// One that is committed together with others.
    Row(RowRequest),
    /// One that is a transaction of its own.
    Single(SingleRequest),
    /// One that is of no session.
    Upkeep(UpkeepRequest),
}

/// A record or an event as it was called: JSON text, not yet looked at. Many are committed together.
#[derive(Debug)]
pub enum RowRequest {
    /// Insert or replace a session: the record's JSON text.
    UpdateSession {
        /// JSON text of the record.
        record: String,
    },
    /// Insert an event.
    InsertEvent {
        /// The session the event was given for.
        session_id: String,
        /// JSON text of the event.
        event: String,
    },
}

impl From<RowRequest> for WriteRequest {
    fn from(request: RowRequest) -> Self {
        Self::Row(request)
    }
}

impl From<SingleRequest> for WriteRequest {
    fn from(request: SingleRequest) -> Self {
        Self::Single(request)
    }
}

impl From<UpkeepRequest> for WriteRequest {
    fn from(request: UpkeepRequest) -> Self {
        Self::Upkeep(request)
    }
}

/// A write that waits.
#[derive(Debug)]
pub enum AdmittedWrite {
    /// One that keeps its place in the order of a session.
    OfSession(SessionWrite),
    /// One that is of no session.
    Upkeep(Admitted<UpkeepRequest>),
}

/// A write that waits, and keeps its place in the order of a session.
#[derive(Debug)]
pub enum SessionWrite {
    /// One that is committed together with others.
    Row(Admitted<RowRequest>),
    /// One that is a transaction of its own.
    Single(Admitted<SingleRequest>),
}

impl WriteRequest {
    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Row(request) => request.text_bytes(),
            Self::Single(request) => request.text_bytes(),
            Self::Upkeep(request) => request.text_bytes(),
        }
    }

    /// Counts it as waiting, unless too much waits already.
    pub fn admit(self, backlog: &Arc<Backlog>, called: Instant) -> Result<AdmittedWrite, StoreError> {
        let bytes = self.text_bytes();
        match self {
            Self::Row(request) => Ok(SessionWrite::Row(backlog.admit(request, bytes, called)?).into()),
            Self::Single(request) => Ok(SessionWrite::Single(backlog.admit(request, bytes, called)?).into()),
            Self::Upkeep(request) => backlog.admit(request, bytes, called).map(AdmittedWrite::Upkeep),
        }
    }
}

/// A record or an event that has been read and checked.
#[derive(Debug)]
pub enum Write<'a> {
    /// Insert or replace a session.
    UpdateSession(SessionRecord<'a>),
    /// Insert an event.
    InsertEvent(SessionEvent<'a>),
}

impl Write<'_> {
    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> String {
        match self {
            Self::UpdateSession(record) => format!("writing session {} to", Quoted(&record.id)),
            Self::InsertEvent(event) => {
                format!(
                    "writing event {} of session {} to",
                    event.event_index,
                    Quoted(&event.session_id)
                )
            }
        }
    }

    /// The session that is written to.
    #[must_use]
    pub fn session_id(&self) -> &str {
        match self {
            Self::UpdateSession(record) => &record.id,
            Self::InsertEvent(event) => &event.session_id,
        }
    }
}

impl From<SessionWrite> for AdmittedWrite {
    fn from(write: SessionWrite) -> Self {
        Self::OfSession(write)
    }
}

impl AdmittedWrite {
    /// The sessions whose events it changes.
    #[must_use]
    pub fn sessions_of_events(&self) -> Vec<&str> {
        match self {
            Self::OfSession(SessionWrite::Row(request)) => request.session_of_events().into_iter().collect(),
            Self::OfSession(SessionWrite::Single(request)) => request.session_of_events().into_iter().collect(),
            Self::Upkeep(request) => request.sessions_of_events(),
        }
    }
}

impl RowRequest {
    /// The session whose events it changes, if it does.
    #[must_use]
    pub fn session_of_events(&self) -> Option<&str> {
        match self {
            Self::InsertEvent { session_id, .. } => Some(session_id),
            Self::UpdateSession { .. } => None,
        }
    }

    /// How long its JSON text is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::UpdateSession { record } => record.len(),
            Self::InsertEvent { event, .. } => event.len(),
        }
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::UpdateSession { .. } => self.bytes(),
            Self::InsertEvent { session_id, .. } => session_id.len() + self.bytes(),
        }
    }

    /// The session that is written to; empty for a record that cannot be read, which will be refused.
    #[must_use]
    pub fn session_id(&self) -> Cow<'_, str> {
        match self {
            Self::UpdateSession { record } => {
                SessionRecord::parse(record).map_or(Cow::Borrowed(""), |record| record.id)
            }
            Self::InsertEvent { session_id, .. } => Cow::Borrowed(session_id),
        }
    }

    /// Reads and checks it.
    pub fn parse(&self) -> Result<Write<'_>, StoreError> {
        match self {
            Self::UpdateSession { record } => {
                check_size(record)?;
                SessionRecord::parse(record).map(Write::UpdateSession)
            }
            Self::InsertEvent { session_id, event } => {
                check_size(event)?;
                SessionEvent::parse(session_id, event).map(Write::InsertEvent)
            }
        }
    }
}

/// Refuses the JSON text of a record or event that could never be read back.
pub fn check_size(text: &str) -> Result<(), StoreError> {
    if text.len() <= MAX_WRITE_BYTES {
        return Ok(());
    }
    Err(StoreError::invalid(format!(
        "the record or event is too large: its JSON text has {} bytes, and no more than {MAX_WRITE_BYTES} could ever be read back \
         into JavaScript",
        text.len()
    )))
}

impl Measured for RowRequest {
    fn operation(&self) -> Option<Operation> {
        Some(match self {
            Self::UpdateSession { .. } => Operation::UpdateSession,
            Self::InsertEvent { .. } => Operation::InsertEvent,
        })
    }

    fn session_id(&self) -> Option<Cow<'_, str>> {
        Some(self.session_id())
    }
}

/// What came of a write.
pub type WriteResult = Result<Answer, StoreError>;
