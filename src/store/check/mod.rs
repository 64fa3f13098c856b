//! Checks of a database: what each read of one looks at, and what it finds. `jobs/check.rs` asks for them one after another, and
//! both backends answer. None of them changes anything, and none reads for long in one piece.

mod finding;
mod indexes;

pub use finding::{Code, Finding, Findings, MOST_SESSIONS, Severity};
pub use indexes::{Index, redundant};

/// How many sessions one look goes through.
pub const SESSIONS_AT_ONCE: usize = 1_000;

/// What one read of a check looks at. What has a position goes on after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Where the database is, what its settings are, and what this user may do.
    Database,
    /// The tables and their indexes.
    Tables,
    /// Whether one of the tables or indexes is damaged, by its number.
    Integrity(usize),
    /// Whether there are events without a place.
    Unplaced,
    /// Whether events can be read.
    Events(Option<Place>),
    /// Whether records of sessions can be read, and have events.
    Sessions(Option<String>),
    /// Whether the sessions of events have records.
    SessionsOfEvents(Option<String>),
}

/// An event's place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The session's id.
    pub session_id: String,
    /// The event's index in it.
    pub event_index: i64,
}

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looked {
    /// What is to be told.
    pub findings: Vec<Finding>,
    /// What is to be looked at next, where there is more of the same.
    pub next: Option<Look>,
    /// How many rows were read.
    pub rows: u64,
}

impl From<Vec<Finding>> for Looked {
    fn from(findings: Vec<Finding>) -> Self {
        Self {
            findings,
            ..Self::default()
        }
    }
}

impl Look {
    /// All that a check begins with, in its order.
    #[must_use]
    pub fn all() -> [Self; 7] {
        [
            Self::Database,
            Self::Tables,
            Self::Integrity(0),
            Self::Sessions(None),
            Self::SessionsOfEvents(None),
            Self::Unplaced,
            Self::Events(None),
        ]
    }

    /// What an error says was being done; the name of the database follows.
    #[must_use]
    pub fn doing(&self) -> &'static str {
        match self {
            Self::Database => "checking the settings of",
            Self::Tables => "checking the tables of",
            Self::Integrity(_) => "checking the integrity of",
            Self::Unplaced | Self::Events(_) => "checking the events of",
            Self::Sessions(_) | Self::SessionsOfEvents(_) => "checking the sessions of",
        }
    }

    /// How much text it keeps in memory.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Database | Self::Tables | Self::Integrity(_) | Self::Unplaced => 0,
            Self::Events(place) => place.as_ref().map_or(0, |place| place.session_id.len()),
            Self::Sessions(id) | Self::SessionsOfEvents(id) => id.as_ref().map_or(0, String::len),
        }
    }
}
