//! What is written to SQLite: one batch of writes as one transaction. The writer thread calls it, through group commit.

mod load;
mod rows;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::checkpoints::Log;
use super::compaction::Compaction;
use super::connection::{Durability, Target, within};
use super::error::store_error;
use super::read::data_version;
use super::rebuild;
use super::single;
use super::space;
use super::tables::Tables;
use super::tombstones::Tombstones;
use super::trim::Trimming;
use crate::store::cap::{Caps, Extent};
use crate::store::commit::Backend;
use crate::store::deleted;
use crate::store::error::{ErrorKind, StoreError};
use crate::store::reassigned::ReassignedSessions;
use crate::store::rebuild::{RebuildRequest, Rebuilt};
use crate::store::single::SingleRequest;
use crate::store::statistics::Statistics;
use crate::store::tables::columns::{EVENTS, SESSIONS, names, replacements};
use crate::store::upkeep::UpkeepRequest;
use crate::store::write::{Write, WriteResult};
use crate::store::{Answer, IndexConflict, JobAnswer};

/// How long a removal waits for the lock of another process. It is tried again.
const TRIM_PATIENCE: Duration = Duration::from_millis(20);

/// How long is removed what is over the caps when the store is closed.
const LAST_TRIM: Duration = Duration::from_secs(1);

/// The one connection that writes, and the statements it uses.
pub(super) struct Writer {
    connection: Connection,
    target: Target,
    tables: Tables,
    index_conflict: IndexConflict,
    statistics: Arc<Statistics>,
    reassigned: ReassignedSessions,
    data_version: Option<i64>,
    /// Whether writes were committed since the last upkeep, and what [`data_version`] was then.
    has_committed: bool,
    upkeep_version: Option<i64>,
    tombstones: Tombstones,
    log: Log,
    compaction: Compaction,
    trimming: Trimming,
    /// What the connection is set to.
    sync: Sync,
    update_session: String,
    insert_event: String,
    load_event: String,
    remove_newest: String,
    is_stored: String,
    is_taken: String,
    highest_index: String,
}

/// When a transaction is synced, where the store is to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// Before it counts as committed.
    AtOnce,
    /// With the next one that is synced at once.
    Later,
}

/// The moves of a transaction, by session: its later events follow them at once, those of the next ones only if it is
/// committed.
type Moves<'a> = HashMap<&'a str, i64>;

impl Writer {
    pub(super) fn new(
        connection: Connection,
        target: Target,
        tables: &Tables,
        index_conflict: IndexConflict,
        caps: Caps,
        statistics: Arc<Statistics>,
    ) -> Self {
        let (sessions, events) = (&tables.sessions, &tables.events);
        Self {
            log: Log::new(target.location.log(), target.checkpoints),
            trimming: Trimming::new(target.location.name(), tables, caps, Arc::clone(&statistics)),
            sync: Sync::AtOnce,
            connection,
            target,
            tables: tables.clone(),
            index_conflict,
            statistics,
            reassigned: ReassignedSessions::default(),
            data_version: None,
            has_committed: false,
            upkeep_version: None,
            tombstones: Tombstones::new(tables),
            compaction: Compaction::new(tables),
            update_session: format!(
                "INSERT INTO {sessions} ({columns}) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
                 ON CONFLICT (id) DO UPDATE SET {replaced}",
                columns = names(&SESSIONS),
                replaced = replacements(&SESSIONS, "excluded"),
            ),
            // A place taken by the same event is replaced, so that a retry is harmless; one taken by another event is
            // left alone, and no row is changed: a conflict.
            insert_event: format!(
                "INSERT INTO {events} AS stored ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                 ON CONFLICT (session_id, event_index) DO UPDATE SET {replaced} WHERE stored.id = excluded.id",
                columns = names(&EVENTS),
                replaced = replacements(&EVENTS, "excluded"),
            ),
            load_event: format!(
                "INSERT INTO {events} ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                 ON CONFLICT (session_id, event_index) DO NOTHING",
                columns = names(&EVENTS),
            ),
            remove_newest: format!(
                "DELETE FROM {events} WHERE session_id = ?1 AND event_index IN (\
                 SELECT event_index FROM {events} WHERE session_id = ?1 AND event_index > ?2 ORDER BY event_index DESC LIMIT ?3) \
                 AND NOT EXISTS (SELECT 1 FROM {events} WHERE session_id = ?1 AND event_index > ?4)"
            ),
            is_taken: format!("SELECT EXISTS (SELECT 1 FROM {events} WHERE session_id = ?1 AND event_index = ?2)"),
            is_stored: format!(
                "SELECT EXISTS (SELECT 1 FROM {events} WHERE session_id = ?1 AND event_index = ?2 AND id = ?3)"
            ),
            highest_index: format!("SELECT max(event_index) FROM {events} WHERE session_id = ?1"),
        }
    }

    /// Whether another process has written since the last call. No other connection of this driver writes.
    pub(super) fn others_wrote(&mut self) -> bool {
        let version = data_version(&self.connection).ok();
        std::mem::replace(&mut self.data_version, version) != version
    }

    /// Copies what steps of jobs have added to the log.
    fn copy_log(&mut self, step_took: Duration) {
        // What failed is done with the next one, or by SQLite.
        let _ = self.log.copy_steps(&self.connection, step_took);
    }

    /// Has the log begin anew when readers have kept it from that for long, unless this driver is the one that still reads.
    pub(super) fn keep_log_small(&mut self, is_read_for_long: bool) {
        let longest = (!is_read_for_long).then_some(self.target.busy_timeout);
        // What failed is tried again once the log is larger; if the disk is at fault, a write meets that, and tells.
        let _ = self.log.keep_small(&self.connection, longest);
    }

    /// Does a step of a rebuild.
    fn rebuild(&mut self, request: &UpkeepRequest, step: &RebuildRequest) -> WriteResult {
        let is_contended = self.is_contended();
        let done = self.transaction(Sync::AtOnce, |writer| {
            rebuild::step(&writer.connection, &writer.tables, step)
        });
        self.upkeep_version = data_version(&self.connection).ok();
        match done {
            Ok(outcome) => Ok(Answer::OfJob(JobAnswer::Rebuilt(Box::new(Rebuilt {
                outcome,
                is_contended,
            })))),
            Err(rebuild::Failure::Refused(refusal)) => Err(refusal),
            Err(rebuild::Failure::Database(error)) => Err(self.error(request.doing(), &error)),
        }
    }

    /// Whether others than the job that asks have written since its last call: callers of this driver, or other processes.
    fn is_contended(&mut self) -> bool {
        let has_committed = std::mem::take(&mut self.has_committed);
        has_committed || data_version(&self.connection).ok() != self.upkeep_version
    }

    fn try_commit(&mut self, writes: &[Write<'_>]) -> Result<Vec<WriteResult>, rusqlite::Error> {
        let mut moves = Moves::new();
        let results = self.transaction(Sync::AtOnce, |writer| {
            let mut deleted = writer.tombstones.look(&writer.connection)?;
            let mut results = Vec::with_capacity(writes.len());
            for write in writes {
                match writer.apply(write, &mut deleted, &mut moves) {
                    Ok(result) => results.push(result),
                    // SQLite ends the whole transaction for some failures, a full disk among them.
                    Err(error) if writer.connection.is_autocommit() => return Err(error),
                    // Else only the statement is undone, and the write fails alone.
                    Err(error) => results.push(Err(writer.error(&write.doing(), &error))),
                }
            }
            Ok(results)
        })?;
        for (session_id, index) in moves {
            self.reassigned.note(session_id, index);
        }
        self.trimming.committed(writes, &results);
        self.has_committed = true;
        Ok(results)
    }

    /// Removes some of what is over the caps, if it is time. No write waits for it to be synced, and none fails with it.
    pub(super) fn trim(&mut self, extent: Extent) {
        if !self.trimming.is_due(extent) {
            return;
        }
        let began = Instant::now();
        let step = self.transaction(Sync::Later, |writer| writer.trimming.step(&writer.connection, extent));
        for session_id in self.trimming.ended(began, extent, step) {
            self.reassigned.forget(&session_id);
        }
    }

    /// How long nothing must be written before [`Self::trim`] is to be called for all; nothing, if nothing is over.
    pub(super) fn trim_patience(&self) -> Option<Duration> {
        self.trimming.patience()
    }

    /// Removes what is over the caps before the store is closed, if that is soon done.
    pub(super) fn trim_last(&mut self) {
        let until = Instant::now() + LAST_TRIM;
        while self.trimming.is_due(Extent::All) && Instant::now() < until {
            self.trim(Extent::All);
        }
    }

    /// Commits what `work` does as one transaction, or nothing of it.
    fn transaction<R, E: From<rusqlite::Error>>(
        &mut self,
        sync: Sync,
        work: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        if !self.connection.is_autocommit() {
            // A panic left the transaction before this one open.
            self.connection.execute_batch("ROLLBACK")?;
        }
        self.sync(sync)?;
        let patience = match sync {
            Sync::AtOnce => self.target.patience(),
            Sync::Later => self.target.patience().min(TRIM_PATIENCE),
        };
        let mut tries = 0;
        let begun = within(patience, || {
            tries += 1;
            self.connection.execute_batch("BEGIN IMMEDIATE")
        });
        if tries > 1 {
            let reason = "another process held the write lock";
            self.statistics.retried(ErrorKind::Busy, &reason.into());
        }
        begun?;
        let done = work(self).and_then(|done| {
            self.target.patiently(|| self.connection.execute_batch("COMMIT"))?;
            Ok(done)
        });
        if done.is_err() && !self.connection.is_autocommit() {
            // Nothing is left to do when this fails too: closing the connection rolls back.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        done
    }

    /// Sets when what follows is synced.
    fn sync(&mut self, sync: Sync) -> rusqlite::Result<()> {
        if self.target.durability == Durability::Full && self.sync != sync {
            let synchronous = match sync {
                Sync::AtOnce => "FULL",
                Sync::Later => "NORMAL",
            };
            self.connection.pragma_update(None, "synchronous", synchronous)?;
            self.sync = sync;
        }
        Ok(())
    }

    fn error(&self, doing: &str, error: &rusqlite::Error) -> StoreError {
        store_error(&self.doing(doing), error)
    }

    /// What an error says was being done, with the name of the database.
    fn doing(&self, doing: &str) -> String {
        format!("{doing} {}", self.target.location.name())
    }
}

impl Backend for Writer {
    fn commit(&mut self, writes: &[Write<'_>]) -> Vec<WriteResult> {
        if let Err(error) = self.target.check_not_moved(&self.connection) {
            return writes.iter().map(|_| Err(error.clone())).collect();
        }
        match self.try_commit(writes) {
            Ok(results) => results,
            Err(error) if writes.len() > 1 && ends_all_for_one(&error) => {
                let (first, second) = writes.split_at(writes.len() / 2);
                let mut results = self.commit(first);
                results.extend(self.commit(second));
                results
            }
            Err(error) => writes
                .iter()
                .map(|write| Err(self.error(&write.doing(), &error)))
                .collect(),
        }
    }

    fn commit_single(&mut self, request: &SingleRequest) -> WriteResult {
        self.target.check_not_moved(&self.connection)?;
        let began = Instant::now();
        let committed = self.transaction(Sync::AtOnce, |writer| {
            let Self {
                connection,
                tables,
                tombstones,
                compaction,
                ..
            } = writer;
            single::run(connection, tables, tombstones, compaction, request)
        });
        let answer = committed.map_err(|failure| match failure {
            single::Failure::Refused(error) => error,
            single::Failure::Database(error) => self.error(&request.doing(), &error),
            single::Failure::Deleted => deleted::refusal(&self.doing(&request.doing())),
            single::Failure::Kept(table) => StoreError::invalid(format!(
                "{} failed: a trigger of the owner of {table} kept its rows; {}, drop the trigger and call again",
                self.doing(&request.doing()),
                match request {
                    SingleRequest::Prune(_) => "what was removed before stays removed",
                    SingleRequest::Compact(_) => "nothing was joined in this step",
                    _ => "nothing was deleted",
                },
            )),
        })?;
        if let Some(session_id) = request.recounted_session() {
            self.trimming.changed(session_id);
        }
        if let Some(session_id) = request.removed_session(&answer) {
            self.reassigned.forget(session_id);
        }
        if let SingleRequest::Prune(_) = request {
            self.copy_log(began.elapsed());
        }
        Ok(answer.taking(began.elapsed()))
    }

    fn keep_up(&mut self, request: &UpkeepRequest) -> WriteResult {
        self.target.check_not_moved(&self.connection)?;
        let began = Instant::now();
        let answer = match request {
            UpkeepRequest::GiveBack => {
                self.trimming.changed_all();
                let given_back = self.transaction(Sync::AtOnce, |writer| space::give_back(&writer.connection));
                given_back.map_err(|error| self.error(request.doing(), &error))?
            }
            UpkeepRequest::Vacuum => {
                self.trimming.changed_all();
                space::check_room(&self.connection, &self.target, &self.doing(request.doing()))?;
                let vacuumed = self.target.patiently(|| space::vacuum(&self.connection));
                vacuumed.map_err(|error| self.error(request.doing(), &error))?
            }
            UpkeepRequest::Rebuild(step) => {
                self.trimming.changed_all();
                return self.rebuild(request, step);
            }
            UpkeepRequest::Load(step) => self.load(step, request.doing())?,
            UpkeepRequest::TakeBack(taking) => self.take_back(taking, request.doing())?,
        };
        self.copy_log(began.elapsed());
        Ok(answer.taking(began.elapsed()))
    }
}

/// Whether one write may have ended the transaction of all: it does not fit on the disk, or a trigger's `RAISE(ROLLBACK)`
/// forbids it. Then the batch is halved until it is alone, so that the others are stored.
fn ends_all_for_one(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::ConstraintViolation)
    )
}
