//! Removes what is over the caps, beside the writes. `batches` notes what was stored, and the store's thread runs
//! [`Trimming::trim_until_closed`].
//!
//! Each session is one small statement, which counts and removes by itself. It waits for nobody's locks for long, and its commit
//! is not synced: what a crash brings back is removed again.

mod events;
mod sessions;

pub(super) use sessions::is_oldest;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Reach, Remedy};
use super::single::{Pace, Singles, advised};
use crate::store::Answer;
use crate::store::cap::{
    Count, EventCap, Extent, PAUSE_AFTER_REFUSAL, QUIET, Refusals, SessionCap, removing_events, removing_session,
};
use crate::store::error::ErrorKind;
use crate::store::load::{SessionEnd, SessionPart};
use crate::store::write::{RowRequest, WriteResult};

/// How long a removal waits for a locked row. It is tried again.
const LOCK_LIMIT: Duration = Duration::from_millis(100);

/// How long is waited for what is removed together, also when a connection has gone silent.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// The pause after something was in the way that may be gone soon.
const PAUSE_AFTER_OBSTACLE: Duration = Duration::from_secs(1);

/// How many sessions are seen to with one round trip.
const SESSIONS_AT_ONCE: usize = 8;

/// See the module's description.
pub(super) struct Trimming {
    database: Rc<Database>,
    singles: Rc<Singles>,
    event_statements: events::Statements,
    session_statements: sessions::Statements,
    events: Option<RefCell<EventCap>>,
    sessions: Option<RefCell<SessionCap>>,
    refusals: RefCell<Refusals>,
    last_write: Cell<Instant>,
    /// When the next step may begin.
    next: Cell<Instant>,
    /// How many events one statement removes.
    pace: Pace,
    closing: Cell<bool>,
    wake: Notify,
}

impl Trimming {
    pub(super) fn new(database: Rc<Database>, singles: Rc<Singles>) -> Self {
        let tables = &database.options.tables;
        let caps = database.options.caps;
        Self {
            event_statements: events::Statements::new(tables),
            session_statements: sessions::Statements::new(tables),
            events: caps.events_per_session.map(|cap| RefCell::new(EventCap::new(cap))),
            sessions: caps.sessions.map(|cap| RefCell::new(SessionCap::new(cap))),
            refusals: RefCell::new(Refusals::of(Arc::clone(&database.statistics))),
            last_write: Cell::new(Instant::now()),
            next: Cell::new(Instant::now()),
            pace: Pace::default(),
            closing: Cell::new(false),
            wake: Notify::new(),
            database,
            singles,
        }
    }

    /// A write of a batch has come to this.
    pub(super) fn settled(&self, request: &RowRequest, result: &WriteResult) {
        let Ok(answer) = result else { return };
        match (request, &self.events, &self.sessions) {
            (RowRequest::InsertEvent { session_id, .. }, Some(events), _) => {
                let index = match answer {
                    Answer::Reassigned(index) => Some(*index),
                    _ => None,
                };
                events.borrow_mut().stored(session_id, index);
            }
            (RowRequest::UpdateSession { .. }, _, Some(sessions)) => sessions.borrow_mut().written(),
            _ => {}
        }
    }

    /// A part of a session was loaded.
    pub(super) fn loaded(&self, part: &SessionPart) {
        if let Some(events) = &self.events {
            let mut events = events.borrow_mut();
            part.events.iter().for_each(|_| events.stored(&part.session_id, None));
        }
        if let (Some(sessions), Some(SessionEnd { record: Some(_), .. })) = (&self.sessions, &part.end) {
            sessions.borrow_mut().written();
        }
    }

    /// A batch has ended.
    pub(super) fn committed(&self) {
        if self.events.is_none() && self.sessions.is_none() {
            return;
        }
        self.last_write.set(Instant::now());
        self.wake.notify_one();
    }

    /// Something else was done to the session's events.
    pub(super) fn changed(&self, session_id: &str) {
        if let Some(events) = &self.events {
            events.borrow_mut().forget(session_id);
        }
    }

    /// Lets [`Self::trim_until_closed`] end once nothing is over, or something is in the way.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.wake.notify_one();
    }

    /// Removes what is due while others are written, and all that is over a cap when nothing is.
    pub(super) async fn trim_until_closed(&self) {
        loop {
            let is_closing = self.closing.get();
            let quiet = self.last_write.get() + QUIET;
            let extent = if is_closing || Instant::now() >= quiet {
                Extent::All
            } else {
                Extent::Due
            };
            if self.is_due(extent) && (is_closing || Instant::now() >= self.next.get()) {
                let began = Instant::now();
                let pause = match self.step(extent).await {
                    Ok(()) if extent == Extent::Due => began.elapsed(),
                    Ok(()) => Duration::ZERO,
                    Err(_) if is_closing => return,
                    Err(pause) => pause,
                };
                self.next.set(Instant::now() + pause);
                continue;
            }
            if is_closing {
                return;
            }
            let wait = if self.is_due(Extent::Due) {
                self.next.get()
            } else {
                quiet.max(self.next.get())
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(wait), if self.is_due(Extent::All) => {}
            }
        }
    }

    fn is_due(&self, extent: Extent) -> bool {
        let events_are = self.events.as_ref().is_some_and(|events| match extent {
            Extent::Due => events.borrow().is_due(),
            Extent::All => events.borrow().is_over(),
        });
        events_are || self.sessions_are_due(extent)
    }

    fn sessions_are_due(&self, extent: Extent) -> bool {
        let sessions = self.sessions.as_ref();
        sessions.is_some_and(|sessions| sessions.borrow().is_due(extent))
    }

    /// Removes some. When something is in the way of all, it says for how long.
    async fn step(&self, extent: Extent) -> Result<(), Duration> {
        if let Some(events) = &self.events {
            let taken = events.borrow_mut().take(extent);
            let mut rest = taken.chunks(SESSIONS_AT_ONCE);
            let mut some_are_locked = false;
            while let Some(chunk) = rest.next() {
                match self.trim(events, chunk).await {
                    Ok(locked) => some_are_locked |= locked,
                    Err(failure) => {
                        let mut events = events.borrow_mut();
                        for session_id in chunk.iter().chain(rest.flatten()) {
                            events.look_again(session_id);
                        }
                        return Err(self.in_the_way(failure, "removing what is over the caps from"));
                    }
                }
            }
            if some_are_locked {
                return Err(PAUSE_AFTER_OBSTACLE);
            }
        }
        if let Some(sessions) = &self.sessions
            && self.sessions_are_due(extent)
        {
            self.evict(sessions).await?;
        }
        Ok(())
    }

    /// Removes the oldest events of some sessions, and says whether any of them is locked. It fails for what is in the way of
    /// all.
    async fn trim(&self, caps: &RefCell<EventCap>, session_ids: &[Box<str>]) -> Result<bool, Failure> {
        let most = i64::try_from(caps.borrow().cap().most()).unwrap_or(i64::MAX);
        let piece = self.pace.rows();
        let before: Vec<u64> = session_ids.iter().map(|id| caps.borrow_mut().guess(id)).collect();
        let began = Instant::now();
        let deadline = self.database.deadline().min(began + LONGEST_STEP);
        let work = async |connection: &Connection| {
            let statements = session_ids.iter().map(|session_id| {
                self.event_statements
                    .trim(connection, session_id, most, piece, LOCK_LIMIT)
            });
            let mut trimmed = join_all(statements).await;
            for (session_id, trimmed) in session_ids.iter().zip(&mut trimmed) {
                // Another program may have removed the same ones in this moment. Then they are not found again.
                if matches!(trimmed, Ok(trimmed) if trimmed.counted > most && trimmed.removed == 0) {
                    *trimmed = self
                        .event_statements
                        .trim(connection, session_id, most, piece, LOCK_LIMIT)
                        .await;
                }
            }
            // What concerns the connection or the table concerns all of them.
            let of_all = trimmed
                .iter()
                .find_map(|each| each.as_ref().err().filter(|failure| is_of_all(failure)));
            of_all.map_or(Ok(()), |failure| Err(failure.clone()))?;
            Ok(trimmed)
        };
        let trimmed = self.database.run(Purpose::Trim, deadline, work).await?;
        let (mut most_removed, mut is_locked) = (0, false);
        for ((session_id, before), trimmed) in session_ids.iter().zip(before).zip(trimmed) {
            match trimmed {
                Ok(events::Trimmed { counted, removed }) if counted > most && removed == 0 => {
                    self.refused_events(session_id, kept());
                }
                Ok(events::Trimmed { counted, removed }) => {
                    most_removed = most_removed.max(removed);
                    let mut caps = caps.borrow_mut();
                    let written_since = caps.guess(session_id).saturating_sub(before);
                    // Where no more were counted, there may be so many more that the session has the next turn as well.
                    let more = if counted == most + piece { counted } else { 0 };
                    caps.counted(session_id, unsigned(counted + more) + written_since, None);
                    caps.removed(session_id, unsigned(removed));
                    caps.put_back(session_id);
                }
                Err(failure) if failure.remedy == Remedy::AnotherTime => {
                    is_locked = true;
                    self.pace.note_failure(&failure);
                    caps.borrow_mut().look_again(session_id);
                }
                Err(failure) => self.refused_events(session_id, failure),
            }
        }
        self.pace.note(most_removed, began.elapsed());
        Ok(is_locked)
    }

    /// Removes the oldest sessions.
    async fn evict(&self, caps: &RefCell<SessionCap>) -> Result<(), Duration> {
        let most = i64::try_from(caps.borrow().cap().most()).unwrap_or(i64::MAX);
        let written = caps.borrow().uncounted();
        let deadline = || self.database.deadline().min(Instant::now() + LONGEST_STEP);
        let work = async |connection: &Connection| self.session_statements.oldest(connection, most).await;
        let found = self.database.run(Purpose::Trim, deadline(), work).await;
        let sessions::Oldest { count, session_ids } =
            found.map_err(|failure| self.in_the_way(failure, "counting the sessions of"))?;
        let (mut left, mut refusing) = (unsigned(count), 0);
        for session_id in session_ids {
            if caps.borrow_mut().is_refused(&session_id) {
                (left, refusing) = (left - 1, refusing + 1);
                continue;
            }
            match self.evict_session(&session_id, most).await {
                Ok(()) => {
                    left -= 1;
                    self.changed(&session_id);
                }
                Err(failure) if is_of_all(&failure) => {
                    return Err(self.in_the_way(failure, &removing_session(&session_id)));
                }
                Err(failure) if failure.remedy == Remedy::AnotherTime => return Err(PAUSE_AFTER_OBSTACLE),
                Err(failure) => {
                    (left, refusing) = (left - 1, refusing + 1);
                    caps.borrow_mut().refused(&session_id);
                    self.refused(failure, &removing_session(&session_id));
                }
            }
        }
        let (over, most_over) = (unsigned(count - most), unsigned(sessions::MOST_AT_ONCE));
        let left = Count::left(left, over, most_over, refusing);
        caps.borrow_mut().counted(left, written);
        Ok(())
    }

    /// Removes a session, if it is still one of the oldest: its events piece by piece, and then what is left of it at once.
    async fn evict_session(&self, session_id: &str, most: i64) -> Result<(), Failure> {
        loop {
            let piece = self.pace.rows();
            let began = Instant::now();
            let deadline = self.database.deadline().min(began + LONGEST_STEP);
            let work = async |connection: &Connection| {
                let statements = &self.session_statements;
                statements
                    .remove_oldest_events(connection, session_id, most, piece, LOCK_LIMIT)
                    .await
            };
            let removed = self.database.run(Purpose::Trim, deadline, work).await;
            let removed = removed.inspect_err(|failure| self.pace.note_failure(failure))?;
            self.pace.note(removed, began.elapsed());
            if removed < piece {
                break;
            }
        }
        self.singles.remove_if_oldest(session_id, most, LOCK_LIMIT).await
    }

    fn refused_events(&self, session_id: &str, failure: Failure) {
        if let Some(events) = &self.events {
            events.borrow_mut().refused(session_id);
        }
        self.refused(failure, &removing_events(session_id));
    }

    /// Something is in the way of all that is to be removed, for so long at least.
    fn in_the_way(&self, failure: Failure, doing: &str) -> Duration {
        if failure.may_pass() || failure.remedy == Remedy::AnotherTime || failure.kind == ErrorKind::Timeout {
            return PAUSE_AFTER_OBSTACLE;
        }
        self.refused(failure, doing);
        PAUSE_AFTER_REFUSAL
    }

    fn refused(&self, failure: Failure, doing: &str) {
        let failure = advised(failure, "nothing was removed in this step");
        let error = failure.into_error(&format!("{doing} {}", self.database.options.target.name()));
        self.refusals.borrow_mut().note(error);
    }
}

/// Whether the failure is not about one session alone.
fn is_of_all(failure: &Failure) -> bool {
    failure.remedy != Remedy::AnotherTime
        && (!failure.is_refusal() || matches!(failure.reach(), Reach::Table(_) | Reach::Everything))
}

/// Rows are there that were to be removed.
fn kept() -> Failure {
    Failure::new(
        Remedy::None,
        ErrorKind::InvalidArgument,
        "a trigger or rule of the table's owner kept rows; drop it, or open without the cap",
    )
}

/// A number of rows as Postgres gives it.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
