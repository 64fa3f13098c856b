//! Removes what is over the caps, a step at a time, each part of it in a file of its folder. `write` calls it after batches, and
//! when nothing is written.
//!
//! A step is a transaction of its own: a trigger of the owner's that ends it takes no event with it. It is not synced: the sync
//! of the next batch covers it as well, and what a power cut brings back is removed again.

mod events;
mod sessions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::{is_busy, store_error};
use super::read::data_version;
use super::tables::Tables;
use crate::store::Answer;
use crate::store::cap::{
    Caps, EventCap, Extent, PAUSE_AFTER_REFUSAL, QUIET, Refusals, SessionCap, removing_events, removing_session,
};
use crate::store::error::StoreError;
use crate::store::load::CheckedPart;
use crate::store::statistics::Statistics;
use crate::store::write::{Write, WriteResult};

/// How long a step takes, and so how long a write waits for one.
const STEP: Duration = Duration::from_millis(10);

/// How many times as long as a step the batches after it have before the next one.
const SHARE_OF_BATCHES: u32 = 3;

/// How long the next step waits when nothing is written, so that other processes may write.
const PAUSE: Duration = Duration::from_millis(2);

/// See the module's description.
pub(super) struct Trimming {
    /// The database's name in messages.
    location: String,
    events: Option<EventCap>,
    sessions: Option<SessionCap>,
    refusals: Refusals,
    event_statements: events::Statements,
    session_statements: sessions::Statements,
    /// What the database's number was in the last step.
    data_version: Option<i64>,
    /// Sessions that a step is to see to, and has not committed yet.
    taken: Vec<Box<str>>,
    /// When the next step may begin.
    next: Instant,
    /// Whether the last step was one of those that are made when nothing is written.
    is_quiet: bool,
}

/// What a step has done. It counts once the step is committed.
pub(super) struct Step {
    trimmed: Vec<events::Trimmed>,
    evicted: Option<sessions::Evicted>,
}

/// Why a step came to nothing.
pub(super) enum Failure {
    /// SQLite has failed.
    Database(rusqlite::Error),
    /// What was done to this session's events ended the transaction.
    OfEvents(Box<str>, rusqlite::Error),
    /// The same of removing the session.
    OfSession(String, rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl Trimming {
    pub(super) fn new(location: String, tables: &Tables, caps: Caps, statistics: Arc<Statistics>) -> Self {
        Self {
            location,
            refusals: Refusals::of(statistics),
            events: caps.events_per_session.map(EventCap::new),
            sessions: caps.sessions.map(SessionCap::new),
            event_statements: events::Statements::new(tables),
            session_statements: sessions::Statements::new(tables),
            data_version: None,
            taken: Vec::new(),
            next: Instant::now(),
            is_quiet: false,
        }
    }

    /// A batch was committed.
    pub(super) fn committed(&mut self, writes: &[Write<'_>], results: &[WriteResult]) {
        self.is_quiet = false;
        for (write, result) in writes.iter().zip(results) {
            let Ok(answer) = result else { continue };
            match (write, &mut self.events, &mut self.sessions) {
                (Write::InsertEvent(event), Some(events), _) => {
                    let index = match answer {
                        Answer::Reassigned(index) => *index,
                        _ => event.event_index,
                    };
                    events.stored(&event.session_id, Some(index));
                }
                (Write::UpdateSession(_), _, Some(sessions)) => sessions.written(),
                _ => {}
            }
        }
    }

    /// A part of a session was loaded.
    pub(super) fn loaded(&mut self, part: &CheckedPart<'_>) {
        self.is_quiet = false;
        if let Some(events) = &mut self.events {
            for event in &part.events {
                events.stored(part.session_id, Some(event.event_index));
            }
        }
        if let (Some(sessions), Some(_)) = (&mut self.sessions, &part.record) {
            sessions.written();
        }
    }

    /// Something else was done to the session's events.
    pub(super) fn changed(&mut self, session_id: &str) {
        if let Some(events) = &mut self.events {
            events.forget(session_id);
        }
    }

    /// Something else was done that may have changed events of any session.
    pub(super) fn changed_all(&mut self) {
        self.data_version = None;
    }

    /// Whether there is something to remove now.
    pub(super) fn is_due(&self, extent: Extent) -> bool {
        let (events, sessions) = (self.events.as_ref(), self.sessions.as_ref());
        let events_are = match extent {
            Extent::Due if Instant::now() < self.next => return false,
            Extent::Due => events.is_some_and(EventCap::is_due),
            Extent::All => events.is_some_and(EventCap::is_over),
        };
        events_are || sessions.is_some_and(|sessions| sessions.is_due(extent))
    }

    /// How long nothing must be written before all that is over is removed; nothing, if nothing is.
    pub(super) fn patience(&self) -> Option<Duration> {
        let is_over = self.events.as_ref().is_some_and(EventCap::is_over)
            || self
                .sessions
                .as_ref()
                .is_some_and(|sessions| sessions.is_due(Extent::All));
        let next = self.next.saturating_duration_since(Instant::now());
        is_over.then(|| next.max(if self.is_quiet { PAUSE } else { QUIET }))
    }

    /// Removes some, in the transaction that is open.
    pub(super) fn step(&mut self, connection: &Connection, extent: Extent) -> Result<Step, Failure> {
        let until = Instant::now() + STEP;
        let version = data_version(connection)?;
        let others_wrote = self.data_version.replace(version) != Some(version);
        let mut trimmed = Vec::new();
        if let Some(caps) = &mut self.events {
            caps.others(others_wrote);
            self.taken = caps.take(extent);
            for session_id in &self.taken {
                if Instant::now() >= until {
                    break;
                }
                trimmed.push(self.event_statements.trim(connection, caps, session_id, until)?);
            }
        }
        let evicted = match &mut self.sessions {
            Some(caps) if caps.is_due(extent) => Some(self.session_statements.evict(connection, caps, until)?),
            _ => None,
        };
        Ok(Step { trimmed, evicted })
    }

    /// A step that began then has ended so. Gives back the sessions that are gone.
    pub(super) fn ended(&mut self, began: Instant, extent: Extent, step: Result<Step, Failure>) -> Vec<String> {
        let taken = std::mem::take(&mut self.taken);
        let mut gone = Vec::new();
        let mut pause = match extent {
            Extent::Due => began.elapsed() * SHARE_OF_BATCHES,
            Extent::All => Duration::ZERO,
        };
        match step {
            Ok(step) => {
                for trimmed in step.trimmed {
                    self.note_trimmed(trimmed);
                }
                if let Some(evicted) = step.evicted {
                    gone = self.note_evicted(evicted);
                }
            }
            Err(failure) => {
                // What was counted since the last step may have been undone.
                self.data_version = None;
                match failure {
                    Failure::OfEvents(session_id, error) => {
                        self.refused_events(&session_id, self.error(&removing_events(&session_id), &error));
                    }
                    Failure::OfSession(session_id, error) => {
                        self.refused_session(&session_id, self.error(&removing_session(&session_id), &error));
                    }
                    Failure::Database(error) if is_busy(&error) => {}
                    Failure::Database(error) => {
                        self.refusals
                            .note(self.error("removing what is over the caps from", &error));
                        pause = PAUSE_AFTER_REFUSAL;
                    }
                }
            }
        }
        if let Some(events) = &mut self.events {
            for session_id in &taken {
                events.put_back(session_id);
            }
        }
        self.next = Instant::now() + pause;
        self.is_quiet = extent == Extent::All;
        gone
    }

    fn note_trimmed(&mut self, trimmed: events::Trimmed) {
        let events::Trimmed {
            session_id,
            counted,
            removed,
            refusal,
        } = trimmed;
        if let Some(events) = &mut self.events {
            if let Some((count, highest)) = counted {
                events.counted(&session_id, count, highest);
            }
            events.removed(&session_id, removed);
        }
        if let Some(refusal) = refusal {
            self.refused_events(&session_id, refusal.told(&self.location, &removing_events(&session_id)));
        }
    }

    fn note_evicted(&mut self, evicted: sessions::Evicted) -> Vec<String> {
        let sessions::Evicted {
            session_ids,
            refused,
            left,
        } = evicted;
        if let Some(sessions) = &mut self.sessions {
            sessions.counted(left, sessions.uncounted());
        }
        for session_id in &session_ids {
            self.changed(session_id);
        }
        for (session_id, refusal) in refused {
            self.refused_session(
                &session_id,
                refusal.told(&self.location, &removing_session(&session_id)),
            );
        }
        session_ids
    }

    fn refused_events(&mut self, session_id: &str, error: StoreError) {
        if let Some(events) = &mut self.events {
            events.refused(session_id);
        }
        self.refusals.note(error);
    }

    fn refused_session(&mut self, session_id: &str, error: StoreError) {
        if let Some(sessions) = &mut self.sessions {
            sessions.refused(session_id);
        }
        self.refusals.note(error);
    }

    fn error(&self, doing: &str, error: &rusqlite::Error) -> StoreError {
        store_error(&format!("{doing} {}", self.location), error)
    }
}

/// A number as SQLite takes it.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of rows as SQLite gives it.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Why something is kept that is over a cap.
enum Refusal {
    /// SQLite has refused to remove it.
    Failed(rusqlite::Error),
    /// It is there after it was removed: a trigger of the owner's has ignored that.
    Kept,
}

impl Refusal {
    fn told(self, location: &str, doing: &str) -> StoreError {
        match self {
            Self::Failed(error) => store_error(&format!("{doing} {location}"), &error),
            Self::Kept => StoreError::invalid(format!(
                "{doing} {location} failed: a trigger of the table's owner kept rows; drop it, or open without the cap"
            )),
        }
    }
}
