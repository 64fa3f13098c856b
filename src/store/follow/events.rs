//! What a follower asks the database for, and what is found. Both backends answer an [`Ask`] with [`Events`].

use std::sync::Arc;

use crate::store::model::SessionEvent;

/// How many events a page for a follower has at most.
pub const MAX_EVENTS: u32 = 500;

/// Where a page ends early, in bytes of JSON text. One event alone may be longer.
const MAX_BYTES: usize = 1 << 20;

/// A question to the database: the events of a session with `after < event_index < before`, in order of their index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The session's id.
    pub session_id: Arc<str>,
    /// The events after this index.
    pub after: i64,
    /// And before this one, if there is an end.
    pub before: Option<i64>,
}

/// The events that an [`Ask`] found, in order of their index: the text of each, and what decides who gets it.
#[derive(Debug)]
pub struct Events {
    limit: u32,
    text: String,
    rows: Vec<Row>,
    full: bool,
}

impl Default for Events {
    fn default() -> Self {
        Self::with_limit(MAX_EVENTS)
    }
}

/// One event that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) index: i64,
    pub(super) created_at: i64,
    /// Where its text ends.
    end: usize,
}

impl Events {
    /// Holds at most so many events, where less than a page of them was asked for.
    #[must_use]
    pub fn with_limit(limit: u32) -> Self {
        Self {
            limit,
            text: String::new(),
            rows: Vec::new(),
            full: false,
        }
    }

    /// Adds the next event; false when the page is full, and this event and all after it belong to the next one.
    pub fn push(&mut self, event: &SessionEvent<'_>) -> bool {
        if self.full || self.rows.len() >= self.limit as usize {
            self.full = true;
            return false;
        }
        let before = self.text.len();
        if before > 0 {
            self.text.push(',');
        }
        event.write_json(&mut self.text);
        if before > 0 && self.text.len() > MAX_BYTES {
            self.text.truncate(before);
            self.full = true;
            return false;
        }
        self.rows.push(Row {
            index: event.event_index,
            created_at: event.created_at,
            end: self.text.len(),
        });
        true
    }

    /// Ends the page here, for an event that cannot be read: those before it are given first. False if there are none.
    pub fn end_early(&mut self) -> bool {
        self.full = !self.rows.is_empty();
        self.full
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether there are more, which did not fit.
    pub(super) fn are_cut(&self) -> bool {
        self.full
    }

    /// The first `count` of them, as the JSON text of an array.
    pub(super) fn first(&self, count: usize) -> Arc<str> {
        let end = count
            .checked_sub(1)
            .and_then(|last| self.rows.get(last))
            .map_or(0, |row| row.end);
        format!("[{}]", &self.text[..end]).into()
    }
}
