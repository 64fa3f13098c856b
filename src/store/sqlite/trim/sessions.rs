//! Removes the oldest sessions, where there are more than the cap. `super` calls it.
//!
//! Each goes as a whole: its events piece by piece, the oldest first, and with the last of them its labels and its record. Until
//! then it is still the oldest, so that whoever comes next goes on with it. It leaves no tombstone.

use std::time::Instant;

use rusqlite::{Connection, params};

use super::events::remove_oldest;
use super::{Failure, Refusal, integer, unsigned};
use crate::store::cap::{Count, SessionCap};
use crate::store::sqlite::tables::Tables;

/// How many events one statement removes.
const PIECE: u64 = 500;

/// How many over the cap are counted at most. More are counted in the next step.
const MOST_COUNTED: u64 = 1_000;

/// The statements.
pub(super) struct Statements {
    count: String,
    oldest: String,
    remove_oldest_events: String,
    remove_events: String,
    has_events: String,
    remove_labels: String,
    remove_record: String,
}

/// What a step has done about sessions.
pub(super) struct Evicted {
    pub(super) session_ids: Vec<String>,
    pub(super) refused: Vec<(String, Refusal)>,
    /// How many sessions there are that count: not those that cannot be removed.
    pub(super) left: Count,
}

/// How far a session was removed.
enum Removed {
    Gone,
    /// The time is over.
    InPart,
    Refused(Refusal),
}

impl Statements {
    pub(super) fn new(tables: &Tables) -> Self {
        let Tables {
            sessions,
            events,
            labels,
            ..
        } = tables;
        Self {
            count: format!("SELECT count(*) FROM (SELECT 1 FROM {sessions} LIMIT ?1)"),
            oldest: format!("SELECT id FROM {sessions} ORDER BY created_at, id LIMIT ?1"),
            remove_oldest_events: remove_oldest(events),
            remove_events: format!("DELETE FROM {events} WHERE session_id = ?1"),
            has_events: format!("SELECT EXISTS (SELECT 1 FROM {events} WHERE session_id = ?1)"),
            remove_labels: format!("DELETE FROM {labels} WHERE session_id = ?1"),
            remove_record: format!("DELETE FROM {sessions} WHERE id = ?1"),
        }
    }

    /// Removes sessions until the time is over.
    pub(super) fn evict(
        &self,
        connection: &Connection,
        caps: &mut SessionCap,
        until: Instant,
    ) -> Result<Evicted, Failure> {
        let most = caps.cap().most();
        let count = connection
            .prepare_cached(&self.count)?
            .query_row([integer(most + MOST_COUNTED)], |row| row.get(0).map(unsigned))?;
        let over = count.saturating_sub(most);
        let (mut left, mut refusing) = (count, 0);
        let (mut session_ids, mut refused) = (Vec::new(), Vec::new());
        for session_id in self.oldest(connection, over)? {
            if caps.is_refused(&session_id) {
                (left, refusing) = (left - 1, refusing + 1);
                continue;
            }
            if Instant::now() >= until {
                break;
            }
            match self.remove(connection, &session_id, until) {
                Ok(Removed::Gone) => {
                    left -= 1;
                    session_ids.push(session_id);
                }
                Ok(Removed::InPart) => break,
                Ok(Removed::Refused(refusal)) => {
                    (left, refusing) = (left - 1, refusing + 1);
                    refused.push((session_id, refusal));
                }
                Err(error) if connection.is_autocommit() => return Err(Failure::OfSession(session_id, error)),
                Err(error) => {
                    (left, refusing) = (left - 1, refusing + 1);
                    refused.push((session_id, Refusal::Failed(error)));
                }
            }
        }
        Ok(Evicted {
            session_ids,
            refused,
            left: Count::left(left, over, MOST_COUNTED, refusing),
        })
    }

    fn oldest(&self, connection: &Connection, sessions: u64) -> rusqlite::Result<Vec<String>> {
        if sessions == 0 {
            return Ok(Vec::new());
        }
        let mut statement = connection.prepare_cached(&self.oldest)?;
        let ids = statement.query_map([integer(sessions)], |row| row.get(0))?;
        ids.collect()
    }

    fn remove(&self, connection: &Connection, session_id: &str, until: Instant) -> rusqlite::Result<Removed> {
        loop {
            let removed = connection
                .prepare_cached(&self.remove_oldest_events)?
                .execute(params![session_id, integer(PIECE - 1)])?;
            if removed == 0 {
                break;
            }
            if Instant::now() >= until {
                return Ok(Removed::InPart);
            }
        }
        connection.prepare_cached("SAVEPOINT last_part")?.execute([])?;
        let removed = self.remove_rest(connection, session_id);
        if connection.is_autocommit() {
            return removed;
        }
        if !matches!(removed, Ok(Removed::Gone)) {
            connection.prepare_cached("ROLLBACK TO last_part")?.execute([])?;
        }
        connection.prepare_cached("RELEASE last_part")?.execute([])?;
        removed
    }

    fn remove_rest(&self, connection: &Connection, session_id: &str) -> rusqlite::Result<Removed> {
        connection.prepare_cached(&self.remove_events)?.execute([session_id])?;
        let is_kept: bool = connection
            .prepare_cached(&self.has_events)?
            .query_row([session_id], |row| row.get(0))?;
        if is_kept {
            return Ok(Removed::Refused(Refusal::Kept));
        }
        connection.prepare_cached(&self.remove_labels)?.execute([session_id])?;
        let removed = connection.prepare_cached(&self.remove_record)?.execute([session_id])?;
        Ok(if removed == 0 {
            Removed::Refused(Refusal::Kept)
        } else {
            Removed::Gone
        })
    }
}
