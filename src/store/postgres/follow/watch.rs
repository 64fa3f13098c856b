//! What is known of the server from one query of `follow` to the next, and what that means for the next one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::news::{self, EventSize};
use super::pace::Pace;
use crate::store::follow::{Ask, Look};
use crate::store::postgres::connection::Connection;
use crate::store::postgres::error::Failure;

/// How often the server is asked at most which sessions others have deleted.
const DELETED_EVERY: Duration = Duration::from_secs(1);

/// How often at least it is asked for events, even if it says that nothing was committed: not every server that speaks Postgres'
/// language can be sure of that.
const EVENTS_EVERY: Duration = Duration::from_secs(5);

/// See the module's description.
pub(super) struct Watch {
    pub(super) pace: Pace,
    /// What [`news::state`] was when events were last asked for on behalf of all, and when that was.
    seen: Option<(Option<String>, Instant)>,
    /// Sessions that others may have deleted.
    may_be_deleted: HashSet<Arc<str>>,
    next_look_for_deleted: Instant,
    pub(super) event_size: EventSize,
    /// Sessions whose ids the database cannot hold, and which have no events therefore.
    impossible: HashSet<Arc<str>>,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            pace: Pace::new(now),
            seen: None,
            may_be_deleted: HashSet::new(),
            next_look_for_deleted: now,
            event_size: EventSize::default(),
            impossible: HashSet::new(),
        }
    }

    /// Whether anything may have been committed since events were last asked for on behalf of all.
    pub(super) async fn has_changed(&mut self, connection: &Connection) -> Result<bool, Failure> {
        let state = news::state(connection).await?;
        let now = Instant::now();
        if let Some((seen, when)) = &self.seen
            && state.is_some()
            && state == *seen
            && now < *when + EVENTS_EVERY
        {
            return Ok(false);
        }
        self.seen = Some((state, now));
        Ok(true)
    }

    /// Leaves of a look what can be asked and is worth it now: sessions that may be deleted are asked for now and then.
    pub(super) fn choose(&mut self, mut look: Look) -> Look {
        // Postgres has no text that holds U+0000.
        let is_possible = |session_id: &Arc<str>| !session_id.contains('\0') && !self.impossible.contains(session_id);
        look.asks.retain(|ask| is_possible(&ask.session_id));
        self.may_be_deleted.extend(look.sessions.drain(..));
        self.may_be_deleted.retain(is_possible);
        if self.next_look_for_deleted <= Instant::now() {
            look.sessions.extend(self.may_be_deleted.iter().cloned());
        }
        look
    }

    pub(super) fn looked_for_deleted(&mut self, sessions: &[Arc<str>]) {
        if !sessions.is_empty() {
            self.may_be_deleted.clear();
            self.next_look_for_deleted = Instant::now() + DELETED_EVERY;
        }
    }

    /// When deleted sessions are to be looked for, if any may be.
    pub(super) fn next_look_for_deleted(&self) -> Option<Instant> {
        (!self.may_be_deleted.is_empty()).then_some(self.next_look_for_deleted)
    }

    /// The database cannot hold the id of the session that was asked for.
    pub(super) fn note_impossible(&mut self, ask: &Ask) {
        self.impossible.insert(Arc::clone(&ask.session_id));
    }
}
