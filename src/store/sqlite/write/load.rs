//! Loading sessions, and taking back what was loaded of one. `super` calls it.

use std::time::{Duration, Instant};

use rusqlite::params;

use super::{Sync, Writer};
use crate::store::deleted;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::load::{
    CheckedPart, LoadStep, Loaded, PartResult, TakeBack, TakenBack, nothing_to_follow, place_taken,
};
use crate::store::model::SessionEvent;
use crate::store::sqlite::single::{self, Failure};
use crate::store::sqlite::tombstones::Deleted;
use crate::store::write::WriteResult;
use crate::store::{Answer, JobAnswer};

/// How long a step of taking back removes events: others can write again once it is committed.
const TIME: Duration = Duration::from_millis(5);

/// How many events are removed before it looks at the clock.
const EVENTS_AT_ONCE: i64 = 100;

/// Why a transaction is undone.
enum Undone {
    /// SQLite has failed.
    Database(rusqlite::Error),
    /// The part at this position has ended it, for this reason.
    ByPart(usize, StoreError),
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl Writer {
    /// Loads the parts of a step as one transaction. A part that fails by itself is undone by itself.
    pub(super) fn load(&mut self, step: &LoadStep, doing: &str) -> WriteResult {
        let parts = step.check();
        let mut results: Vec<PartResult> = Vec::with_capacity(parts.len());
        let mut end = parts.len();
        while results.len() < parts.len() {
            let first = results.len();
            match self.transaction(Sync::AtOnce, |writer| writer.load_parts(&parts[first..end])) {
                Ok(loaded) => {
                    results.extend(loaded);
                    end = parts.len();
                }
                // A trigger's `RAISE(ROLLBACK)` ends the transaction of all: those before the part that is to blame are stored without
                // it, and those after it by themselves.
                Err(Undone::ByPart(0, refusal)) => {
                    results.push(Err(refusal));
                    end = parts.len();
                }
                Err(Undone::ByPart(position, _)) => end = first + position,
                Err(Undone::Database(error)) => return Err(self.error(doing, &error)),
            }
        }
        for (part, result) in parts.iter().zip(&results) {
            if let (Ok(part), Ok(())) = (part, result) {
                self.trimming.loaded(part);
            }
        }
        self.has_committed = true;
        Ok(Answer::OfJob(JobAnswer::Loaded(Loaded {
            parts: results,
            took: Duration::ZERO,
        })))
    }

    fn load_parts(&mut self, parts: &[Result<CheckedPart<'_>, StoreError>]) -> Result<Vec<PartResult>, Undone> {
        let mut deleted = self.tombstones.look(&self.connection)?;
        let mut results = Vec::with_capacity(parts.len());
        for (position, part) in parts.iter().enumerate() {
            let result = match part {
                Ok(part) => self.load_part(part, &mut deleted)?,
                Err(error) => Err(error.clone()),
            };
            if let Err(refusal) = &result
                && self.connection.is_autocommit()
            {
                return Err(Undone::ByPart(position, refusal.clone()));
            }
            results.push(result);
        }
        Ok(results)
    }

    fn load_part<'a>(&self, part: &'a CheckedPart<'_>, deleted: &mut Deleted<'a>) -> rusqlite::Result<PartResult> {
        if self.tombstones.has(&self.connection, deleted, part.session_id)? {
            return Ok(Err(deleted::refusal(&self.doing(&part.doing()))));
        }
        self.execute("SAVEPOINT part")?;
        let refusal = match self.store_part(part) {
            Ok(()) => {
                self.execute("RELEASE part")?;
                return Ok(Ok(()));
            }
            Err(Failure::Refused(refusal)) => refusal,
            Err(Failure::Database(error)) => {
                let refusal = self.error(&part.doing(), &error);
                // The others would fare alike.
                if !matches!(refusal.kind, ErrorKind::InvalidArgument | ErrorKind::Internal) {
                    return Err(error);
                }
                refusal
            }
            Err(Failure::Deleted | Failure::Kept(_)) => StoreError::internal("nothing of a load is removed"),
        };
        if !self.connection.is_autocommit() {
            self.execute("ROLLBACK TO part")?;
            self.execute("RELEASE part")?;
        }
        Ok(Err(refusal))
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn store_part(&self, part: &CheckedPart<'_>) -> Result<(), Failure> {
        if let Some(index) = part.follows
            && !self.is_taken(part.session_id, index)?
        {
            let doing = self.doing(&part.doing());
            return Err(Failure::Refused(nothing_to_follow(&doing, index)));
        }
        let mut insert = self.connection.prepare_cached(&self.load_event)?;
        for event in &part.events {
            let inserted = insert.execute(params![
                event.id,
                event.event_index,
                event.session_id,
                event.created_at,
                event.connection_id,
                event.sender,
                event.payload,
                event.extra,
            ])?;
            if inserted == 0 {
                self.check_stored(part, event)?;
            }
        }
        if let Some(record) = &part.record {
            self.update_session(record)?;
        }
        if let Some(changes) = part.labels {
            single::set_labels(&self.connection, &self.tables, part.session_id, changes)?;
        }
        Ok(())
    }

    /// Why an event was not inserted, unless it is there already.
    fn check_stored(&self, part: &CheckedPart<'_>, event: &SessionEvent<'_>) -> Result<(), Failure> {
        if self.is_stored(event)? {
            return Ok(());
        }
        Err(Failure::Refused(
            if self.is_taken(&event.session_id, event.event_index)? {
                place_taken(&self.doing(&part.doing()), event.event_index)
            } else {
                self.swallowed(event)
            },
        ))
    }

    /// Whether there is an event at this place.
    fn is_taken(&self, session_id: &str, event_index: i64) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached(&self.is_taken)?
            .query_row(params![session_id, event_index], |row| row.get(0))
    }

    /// Removes some of the newest events of a session that is loaded only in part.
    pub(super) fn take_back(&mut self, request: &TakeBack, doing: &str) -> WriteResult {
        let taken = self.transaction(Sync::AtOnce, |writer| writer.remove_newest(request));
        let taken = taken.map_err(|error| self.error(doing, &error))?;
        self.trimming.changed(&request.session_id);
        self.has_committed = true;
        Ok(Answer::OfJob(JobAnswer::TakenBack(taken)))
    }

    fn remove_newest(&self, request: &TakeBack) -> rusqlite::Result<TakenBack> {
        let began = Instant::now();
        let mut remove = self.connection.prepare_cached(&self.remove_newest)?;
        let mut taken = TakenBack {
            events: 0,
            is_more: true,
            took: Duration::ZERO,
        };
        while taken.is_more && began.elapsed() < TIME {
            let removed = remove.execute(params![
                request.session_id,
                request.after_index,
                EVENTS_AT_ONCE,
                request.through_index
            ])?;
            taken.events += removed as u64;
            taken.is_more = i64::try_from(removed).is_ok_and(|removed| removed >= EVENTS_AT_ONCE);
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
