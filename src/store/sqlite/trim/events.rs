//! Removes the oldest events of a session that has more than the cap. `super` calls it.

use std::time::Instant;

use rusqlite::{Connection, params};

use super::{Failure, Refusal, integer, unsigned};
use crate::store::cap::{EventCap, Excess};
use crate::store::sqlite::tables::Tables;

/// How many events one statement removes: that takes a few milliseconds.
const PIECE: u64 = 500;

/// How many over the cap are counted at most. More are counted once these are removed.
const MOST_COUNTED: u64 = 5_000;

/// The statements, whose first parameter is the session.
pub(super) struct Statements {
    count: String,
    remove_oldest: String,
}

/// What a step has done to a session's events.
pub(super) struct Trimmed {
    pub(super) session_id: Box<str>,
    /// How many there were, and the highest index, if they were counted.
    pub(super) counted: Option<(u64, Option<i64>)>,
    pub(super) removed: u64,
    pub(super) refusal: Option<Refusal>,
}

impl Statements {
    pub(super) fn new(Tables { events, .. }: &Tables) -> Self {
        Self {
            count: format!(
                "SELECT count(*), max(event_index) FROM \
                 (SELECT event_index FROM {events} WHERE session_id = ?1 ORDER BY event_index DESC LIMIT ?2)"
            ),
            remove_oldest: remove_oldest(events),
        }
    }

    /// Removes events until the time is over, of a session that has more than the cap.
    pub(super) fn trim(
        &self,
        connection: &Connection,
        caps: &mut EventCap,
        session_id: &str,
        until: Instant,
    ) -> Result<Trimmed, Failure> {
        let mut trimmed = Trimmed {
            session_id: session_id.into(),
            counted: None,
            removed: 0,
            refusal: None,
        };
        let mut excess = match caps.excess(session_id) {
            Excess::Counted(excess) => excess,
            Excess::Unknown => {
                let most = caps.cap().most();
                let (count, highest) = self.count(connection, session_id, most + MOST_COUNTED)?;
                trimmed.counted = Some(if count < most + MOST_COUNTED {
                    (count, highest)
                } else {
                    // There may be more: so many that the session has the next turn as well.
                    (count + MOST_COUNTED, None)
                });
                count.saturating_sub(most)
            }
        };
        while excess > 0 && Instant::now() < until {
            let piece = excess.min(PIECE);
            match self.remove(connection, session_id, piece) {
                Ok(0) => {
                    trimmed.refusal = Some(Refusal::Kept);
                    break;
                }
                Ok(removed) => {
                    trimmed.removed += removed;
                    excess = excess.saturating_sub(removed);
                }
                Err(error) if connection.is_autocommit() => return Err(Failure::OfEvents(session_id.into(), error)),
                Err(error) => {
                    trimmed.refusal = Some(Refusal::Failed(error));
                    break;
                }
            }
        }
        Ok(trimmed)
    }

    /// How many events there are, up to so many, and the highest index.
    fn count(&self, connection: &Connection, session_id: &str, most: u64) -> rusqlite::Result<(u64, Option<i64>)> {
        connection
            .prepare_cached(&self.count)?
            .query_row(params![session_id, integer(most)], |row| {
                Ok((unsigned(row.get(0)?), row.get(1)?))
            })
    }

    fn remove(&self, connection: &Connection, session_id: &str, events: u64) -> rusqlite::Result<u64> {
        let removed = connection
            .prepare_cached(&self.remove_oldest)?
            .execute(params![session_id, integer(events - 1)])?;
        Ok(removed as u64)
    }
}

/// Removes the session's oldest events up to the one that `?2` others are before; none, if there are not so many.
pub(super) fn remove_oldest(events: impl std::fmt::Display) -> String {
    format!(
        "DELETE FROM {events} WHERE session_id = ?1 AND event_index <= \
         (SELECT event_index FROM {events} WHERE session_id = ?1 ORDER BY event_index LIMIT 1 OFFSET ?2)"
    )
}
