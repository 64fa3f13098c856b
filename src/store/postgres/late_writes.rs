//! Writes that come to a session after it was deleted. `batches` asks whether a session was, and the store's thread runs
//! [`LateWrites::look_until_closed`].
//!
//! What this driver deletes it knows. What others delete it learns from their tombstones: to ask for these in each statement
//! that writes would cost a tenth of all writing and more. So it looks once a second at most, while it writes, whether one of the
//! sessions that it wrote to since has a tombstone. Then it removes what was stored late, and refuses what comes from now on.
//!
//! A deletion is seen by a look or sees what was written: whoever writes looks once that is committed, and whoever deletes looks
//! once the deletion is. For a process that was killed before it looked, the next one to write looks at all sessions that were
//! deleted lately.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::database::{Database, Purpose};
use super::error::{Failure, Remedy};
use super::single::Singles;
use super::statement::Parameter;
use super::tables::Tables;
use crate::store::deleted::{self, DeletedSessions};
use crate::store::error::{ErrorKind, Quoted, StoreError};
use crate::store::message::message;
use crate::store::notices::WarningCode;
use crate::store::time::ago;

/// How long it is from one look to the next at least.
const PAUSE: Duration = Duration::from_secs(1);

/// The same after the server has refused one. It may have been for a right that somebody grants.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// How many sessions are noted for the next look. When there are more, it looks at all that were deleted lately.
const MAX_WRITTEN: usize = 65_536;

/// How long ago a session was deleted that is looked at though this driver did not write to it, and how many of those.
const LATELY: Duration = Duration::from_secs(24 * 60 * 60);
const MOST_LATELY: i64 = 10_000;

/// How long a look may take, also of what is left of it when a connection has gone silent.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// How long a removal waits for a locked row. It is tried again with the next look.
const LOCK_LIMIT: Duration = Duration::from_millis(100);

/// See the module's description.
pub(super) struct LateWrites {
    database: Rc<Database>,
    singles: Rc<Singles>,
    known: RefCell<DeletedSessions>,
    unseen: RefCell<Unseen>,
    closing: Cell<bool>,
    wake: Notify,
}

/// What is to be looked at.
struct Unseen {
    /// The sessions that were written to since the last look.
    written: HashSet<Rc<str>>,
    /// Whether those are not all.
    lately: bool,
}

/// A session that was deleted.
struct Tombstone {
    session_id: String,
    deleted_at: i64,
}

impl LateWrites {
    pub(super) fn new(database: Rc<Database>, singles: Rc<Singles>) -> Self {
        Self {
            database,
            singles,
            known: RefCell::default(),
            unseen: RefCell::new(Unseen {
                written: HashSet::new(),
                lately: true,
            }),
            closing: Cell::new(false),
            wake: Notify::new(),
        }
    }

    /// Refuses a write, which is said to be `doing` something, to a session that is known to be deleted.
    pub(super) fn check(&self, session_id: &str, doing: impl FnOnce() -> String) -> Result<(), StoreError> {
        if !self.known.borrow_mut().has(session_id) {
            return Ok(());
        }
        let target = self.database.options.target.name();
        Err(deleted::refusal(&format!("{} {target}", doing())))
    }

    /// Remembers that a session was deleted.
    pub(super) fn remember(&self, session_id: &str, deleted_at: i64) {
        self.known.borrow_mut().note(session_id, deleted_at);
    }

    /// Notes sessions that were written to, or that may have been. What was written is committed, if it ever is.
    pub(super) fn note_written(&self, sessions: impl IntoIterator<Item = Rc<str>>) {
        let mut unseen = self.unseen.borrow_mut();
        let had_none = unseen.written.is_empty();
        unseen.written.extend(sessions);
        if unseen.written.len() > MAX_WRITTEN {
            // One is left, so that there is something to look at.
            let mut left = 0..1;
            unseen.written.retain(|_| left.next().is_some());
            unseen.lately = true;
        }
        if had_none {
            self.wake.notify_one();
        }
    }

    /// Lets [`Self::look_until_closed`] end after another look.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.wake.notify_one();
    }

    /// Looks when something was written, and not too often.
    pub(super) async fn look_until_closed(&self) {
        let mut next = Instant::now();
        let mut was_refused = false;
        loop {
            let is_closing = self.closing.get();
            let is_due = !self.unseen.borrow().written.is_empty();
            if is_due && (Instant::now() >= next || (is_closing && !was_refused)) {
                was_refused = matches!(self.look().await, Err(failure) if !may_pass(&failure));
                next = Instant::now() + if was_refused { PAUSE_AFTER_REFUSAL } else { PAUSE };
                if !is_closing {
                    continue;
                }
            }
            if is_closing {
                return;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(next), if is_due => {}
            }
        }
    }

    /// Looks at what is unseen. What could not be seen to is left for the next look, if that may help.
    async fn look(&self) -> Result<(), Failure> {
        let seen = self.unseen.replace(Unseen {
            written: HashSet::new(),
            lately: false,
        });
        let (tombstones, with_rows) = match self.find(&seen).await {
            Ok(found) => found,
            Err(failure) => {
                if may_pass(&failure) {
                    self.note_written(seen.written);
                }
                self.unseen.borrow_mut().lately |= seen.lately || !may_pass(&failure);
                if !may_pass(&failure) {
                    self.warn_of_unseen(&failure);
                }
                return Err(failure);
            }
        };
        for Tombstone { session_id, deleted_at } in &tombstones {
            if seen.written.contains(&**session_id) || with_rows.contains(session_id) {
                self.remember(session_id, *deleted_at);
            }
        }
        for session_id in &with_rows {
            match self.singles.remove_late(session_id, LOCK_LIMIT).await {
                Ok(false) => {}
                Ok(true) => self.warn_of_removed(session_id),
                Err(failure) if may_pass(&failure) => self.note_written([Rc::from(&**session_id)]),
                // It must not delay what there is to see of the others.
                Err(failure) => self.warn_of_kept(session_id, &failure),
            }
        }
        Ok(())
    }

    fn warn_of_removed(&self, session_id: &str) {
        self.database.statistics.warn(
            WarningCode::LateWritesRemoved,
            format!(
                "what was written to session {} of {} after it was deleted was removed again: end the agents of a session before you \
                 delete it",
                Quoted(session_id),
                self.database.options.target.name()
            ),
        );
    }

    fn warn_of_kept(&self, session_id: &str, failure: &Failure) {
        self.database.statistics.warn(
            WarningCode::LateWritesKept,
            message![
                format!(
                    "what was written to session {} of {} after it was deleted could not be removed: ",
                    Quoted(session_id),
                    self.database.options.target.name()
                ),
                failure.advice().clone(),
                "; delete the session again as a user who may",
            ],
        );
    }

    fn warn_of_unseen(&self, failure: &Failure) {
        self.database.statistics.warn(
            WarningCode::DeletionsUnseen,
            message![
                format!(
                    "it cannot be seen which sessions of {} others have deleted, so what is written to these stays: ",
                    self.database.options.target.name()
                ),
                failure.advice().clone(),
            ],
        );
    }

    /// The tombstones of what is looked at, and the sessions of those of which something is stored.
    async fn find(&self, seen: &Unseen) -> Result<(Vec<Tombstone>, Vec<String>), Failure> {
        let tables = &self.database.options.tables;
        let written: Vec<&str> = seen.written.iter().map(|id| &**id).collect();
        // Not on the connection that lookups share: while this waits on a silent one, they would take it for one that is in use,
        // and not ask whether it lives.
        let deadline = self.database.deadline().min(Instant::now() + LONGEST_LOOK);
        let work = async |client: &Connection| {
            let mut tombstones = of_sessions(client, tables, &written).await?;
            if seen.lately {
                tombstones.extend(lately(client, tables).await?);
            }
            let ids: Vec<&str> = tombstones.iter().map(|tombstone| &*tombstone.session_id).collect();
            let with_rows = if ids.is_empty() {
                Vec::new()
            } else {
                with_rows(client, tables, &ids).await?
            };
            Ok((tombstones, with_rows))
        };
        self.database.run(Purpose::LateWrites, deadline, work).await
    }
}

/// Whether the next look may do what this one could not.
fn may_pass(failure: &Failure) -> bool {
    failure.may_pass() || failure.remedy == Remedy::AnotherTime || failure.kind == ErrorKind::Timeout
}

async fn of_sessions(
    client: &Client,
    Tables { deleted, .. }: &Tables,
    ids: &[&str],
) -> Result<Vec<Tombstone>, Failure> {
    let sql = format!("SELECT id, deleted_at FROM {deleted} WHERE id = ANY ($1) AND deleted_at > $2");
    tombstones(
        client,
        &sql,
        &[(&ids, Type::TEXT_ARRAY), (&deleted::oldest(), Type::INT8)],
    )
    .await
}

async fn lately(client: &Client, Tables { deleted, .. }: &Tables) -> Result<Vec<Tombstone>, Failure> {
    let sql = format!("SELECT id, deleted_at FROM {deleted} WHERE deleted_at > $1 ORDER BY deleted_at DESC LIMIT $2");
    tombstones(client, &sql, &[(&ago(LATELY), Type::INT8), (&MOST_LATELY, Type::INT8)]).await
}

async fn tombstones(client: &Client, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Tombstone>, Failure> {
    let rows = client.query_typed(sql, parameters).await?;
    let tombstone = |row: &tokio_postgres::Row| {
        Ok(Tombstone {
            session_id: row.try_get(0)?,
            deleted_at: row.try_get(1)?,
        })
    };
    rows.iter().map(tombstone).collect()
}

/// Those of the sessions of which something is stored.
async fn with_rows(client: &Client, tables: &Tables, ids: &[&str]) -> Result<Vec<String>, Failure> {
    let Tables {
        sessions,
        events,
        labels,
        ..
    } = tables;
    // In the order of an index: Postgres may think it quicker to go through the whole table for the first row of a session.
    let sql = format!(
        "SELECT DISTINCT given.id FROM pg_catalog.unnest($1) AS given (id), LATERAL (\
           (SELECT 1 FROM {events} AS stored WHERE stored.session_id = given.id ORDER BY stored.event_index LIMIT 1) \
           UNION ALL (SELECT 1 FROM {labels} AS stored WHERE stored.session_id = given.id ORDER BY stored.name LIMIT 1) \
           UNION ALL (SELECT 1 FROM {sessions} AS stored WHERE stored.id = given.id)) AS stored"
    );
    let rows = client.query_typed(&sql, &[(&ids, Type::TEXT_ARRAY)]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
