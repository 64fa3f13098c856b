//! Where the sessions come from that are copied: another store, a file, or whatever a caller hands over.

use std::collections::BTreeMap;

use crate::store::error::StoreError;
use crate::store::jobs::Ended;

/// How much text a source hands over at once, about: so much of it may be in memory in several places.
pub const BYTES_AT_ONCE: usize = 1 << 20;

/// How many events a source hands over at once at most.
pub const EVENTS_AT_ONCE: usize = 5_000;

/// Sessions, one after the other, each with its events. A thread of the job's own reads them, and waits for each call; an error of
/// a call ends the copy.
///
/// A call is answered within the time that a user waits who has ended the job: whoever may wait for longer looks at what ends it.
pub trait Source: Send {
    /// The next session, or nothing after the last one. Events of the one before that were not asked for are left out.
    fn next_session(&mut self) -> Result<Option<SourceSession>, Ended>;

    /// Whether the session that was given last has more events. Those may be large: a source that can tell without reading them does.
    fn has_events(&mut self) -> Result<bool, NoEvents>;

    /// The next events of that session, by ascending index: their JSON texts, as
    /// [`SessionEvent::write_json`](crate::store::model::SessionEvent::write_json) writes them, since texts are what is compared. None
    /// after the last one. [`BYTES_AT_ONCE`] and [`EVENTS_AT_ONCE`] say how many at a time; one alone may be longer.
    fn next_events(&mut self) -> Result<Vec<String>, NoEvents>;
}

/// Why a source gives no more events of a session.
#[derive(Debug)]
pub enum NoEvents {
    /// The session is another one than when it was begun, for this reason: what was given of it is not all of any. The next one can be
    /// read.
    Changed(StoreError),
    /// Nothing can be read any more.
    Ended(Ended),
}

impl From<Ended> for NoEvents {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<StoreError> for NoEvents {
    fn from(error: StoreError) -> Self {
        Self::Ended(error.into())
    }
}

/// For those who want all of a session or nothing.
impl From<NoEvents> for Ended {
    fn from(reason: NoEvents) -> Self {
        match reason {
            NoEvents::Changed(error) => Self::Failed(error),
            NoEvents::Ended(ended) => ended,
        }
    }
}

/// A session of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceSession {
    /// Its id.
    pub id: String,
    /// The JSON text of its record, as [`SessionRecord::write_json`](crate::store::model::SessionRecord::write_json) writes it. A
    /// session whose events are all there is of it has none.
    pub record: Option<String>,
    /// Its labels: names and values.
    pub labels: BTreeMap<String, String>,
}
