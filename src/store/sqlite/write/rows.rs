//! Records and events of a batch, one statement each. `super` calls it, in the transaction of the batch.

use rusqlite::params;

use super::{Moves, Writer};
use crate::store::deleted;
use crate::store::error::{Quoted, StoreError};
use crate::store::model::{MAX_SAFE_INTEGER, SessionEvent, SessionRecord};
use crate::store::reassigned::must_follow;
use crate::store::sqlite::tombstones::Deleted;
use crate::store::write::Write;
use crate::store::{Answer, IndexConflict};

impl Writer {
    pub(super) fn apply<'a>(
        &mut self,
        write: &'a Write<'_>,
        deleted: &mut Deleted<'a>,
        moves: &mut Moves<'a>,
    ) -> rusqlite::Result<Result<Answer, StoreError>> {
        if self.tombstones.has(&self.connection, deleted, write.session_id())? {
            return Ok(Err(deleted::refusal(&self.doing(&write.doing()))));
        }
        match write {
            Write::UpdateSession(record) => self.update_session(record).map(|()| Ok(Answer::Done)),
            Write::InsertEvent(event) => self.insert_event(event, moves),
        }
    }

    pub(super) fn update_session(&self, record: &SessionRecord<'_>) -> rusqlite::Result<()> {
        self.connection.prepare_cached(&self.update_session)?.execute(params![
            record.id,
            record.agent,
            record.agent_session_id,
            record.last_connection_id,
            record.created_at,
            record.destroyed_at,
            record.sandbox_id,
            record.session_init,
            record.config_options,
            record.modes,
            record.extra,
        ])?;
        Ok(())
    }

    fn insert_event<'a>(
        &mut self,
        event: &'a SessionEvent<'_>,
        moves: &mut Moves<'a>,
    ) -> rusqlite::Result<Result<Answer, StoreError>> {
        let last = moves.get(&*event.session_id).copied();
        let last = last.or_else(|| self.reassigned.get(&event.session_id).copied());
        // Asked only where an event was reassigned, so that the others take one statement.
        let may_follow = last.is_some_and(|last| event.event_index <= last) && !self.is_stored(event)?;
        let mut highest = if may_follow { self.highest_index(event)? } else { None };
        if !must_follow(event.event_index, last, highest) {
            if self.insert_event_at(event, event.event_index)? {
                return Ok(Ok(Answer::Done));
            }
            if self.index_conflict == IndexConflict::Reject {
                return Ok(Err(StoreError::index_taken(&self.tables.events.plain)));
            }
            highest = self.highest_index(event)?;
        }
        let Some(highest) = highest else {
            return Ok(Err(self.swallowed(event)));
        };
        if highest >= MAX_SAFE_INTEGER {
            return Ok(Err(StoreError::no_free_index(&event.session_id)));
        }
        let next = highest + 1;
        if self.insert_event_at(event, next)? {
            moves.insert(&event.session_id, next);
            return Ok(Ok(Answer::Reassigned(next)));
        }
        Ok(Err(self.swallowed(event)))
    }

    /// Whether this very event is at the place that it asks for.
    pub(super) fn is_stored(&self, event: &SessionEvent<'_>) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached(&self.is_stored)?
            .query_row(params![event.session_id, event.event_index, event.id], |row| row.get(0))
    }

    /// The highest index of the event's session, if it has events.
    fn highest_index(&self, event: &SessionEvent<'_>) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached(&self.highest_index)?
            .query_row([&event.session_id], |row| row.get(0))
    }

    /// No row was changed though the place is free: a trigger's `RAISE(IGNORE)`, or a constraint's `ON CONFLICT IGNORE`.
    pub(super) fn swallowed(&self, event: &SessionEvent<'_>) -> StoreError {
        StoreError::invalid(format!(
            "writing event {} of session {} to {} failed: a trigger or constraint of the table's owner ignored the row; \
             nothing was stored",
            event.event_index,
            Quoted(&event.session_id),
            self.target.location.name()
        ))
    }

    /// Stores the event at `event_index`, unless another event is there.
    fn insert_event_at(&self, event: &SessionEvent<'_>, event_index: i64) -> rusqlite::Result<bool> {
        let changed = self.connection.prepare_cached(&self.insert_event)?.execute(params![
            event.id,
            event_index,
            event.session_id,
            event.created_at,
            event.connection_id,
            event.sender,
            event.payload,
            event.extra,
        ])?;
        Ok(changed > 0)
    }
}
