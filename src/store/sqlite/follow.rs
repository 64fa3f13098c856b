//! What is read from SQLite for followers. Their thread calls it.

use std::sync::Arc;

use rusqlite::{Connection, Rows, params};

use super::connection::Target;
use super::read::data_version;
use super::record::event;
use super::tables::Tables;
use crate::store::deleted::oldest;
use crate::store::error::{Quoted, StoreError};
use crate::store::follow::{Ask, Events, MAX_EVENTS};
use crate::store::tables::columns;

/// The followers' connection and the statements it uses.
pub(super) struct FollowReader {
    connection: Connection,
    target: Target,
    data_version: Option<i64>,
    events_after: String,
    events_between: String,
    is_deleted: String,
}

impl FollowReader {
    pub(super) fn open(target: &Target, tables: &Tables) -> Result<Self, StoreError> {
        let columns = columns::names(columns::of_one_session());
        let (events, deleted) = (&tables.events, &tables.deleted);
        Ok(Self {
            connection: target.open_reader()?,
            target: target.clone(),
            data_version: None,
            events_after: format!(
                "SELECT {columns} FROM {events} WHERE session_id = ?1 AND event_index > ?2 ORDER BY event_index LIMIT ?3"
            ),
            events_between: format!(
                "SELECT {columns} FROM {events} WHERE session_id = ?1 AND event_index > ?2 AND event_index < ?4 \
                 ORDER BY event_index LIMIT ?3"
            ),
            is_deleted: format!("SELECT EXISTS (SELECT 1 FROM {deleted} WHERE id = ?1 AND deleted_at > ?2)"),
        })
    }

    /// Whether another connection, of whatever process, has written since the last call.
    pub(super) fn has_changed(&mut self) -> Result<bool, StoreError> {
        let version = self
            .target
            .patiently(|| data_version(&self.connection))
            .map_err(|error| self.target.error("looking for new events in", &error))?;
        Ok(self.data_version.replace(version) != Some(version))
    }

    /// Answers each of them, all by what is stored at one moment.
    pub(super) fn events(&self, asks: &[Ask]) -> Result<Vec<Result<Events, StoreError>>, StoreError> {
        let doing = "looking for new events in";
        let moment = self
            .connection
            .unchecked_transaction()
            .map_err(|error| self.target.error(doing, &error))?;
        let found = asks.iter().map(|ask| {
            self.target.patiently(|| self.events_of(ask)).map_err(|error| {
                let doing = format!("following session {} in", Quoted(&ask.session_id));
                self.target.error(&doing, &error)
            })
        });
        let found = found.collect();
        moment.finish().map_err(|error| self.target.error(doing, &error))?;
        Ok(found)
    }

    /// Those of the sessions that were deleted.
    pub(super) fn deleted(&self, mut sessions: Vec<Arc<str>>) -> Result<Vec<Arc<str>>, StoreError> {
        let deleted = self.target.patiently(|| {
            let mut statement = self.connection.prepare_cached(&self.is_deleted)?;
            let oldest = oldest();
            let exists =
                |session: &Arc<str>| statement.query_row(params![&**session, oldest], |row| row.get::<_, bool>(0));
            sessions.iter().map(exists).collect::<Result<Vec<_>, _>>()
        });
        let deleted = deleted.map_err(|error| self.target.error("looking for deleted sessions in", &error))?;
        let mut deleted = deleted.into_iter();
        sessions.retain(|_| deleted.next().unwrap_or_default());
        Ok(sessions)
    }

    fn events_of(&self, ask: &Ask) -> rusqlite::Result<Events> {
        let wanted = MAX_EVENTS + 1;
        match ask.before {
            None => {
                let mut statement = self.connection.prepare_cached(&self.events_after)?;
                page(statement.query(params![ask.session_id, ask.after, wanted])?, ask)
            }
            Some(before) => {
                let mut statement = self.connection.prepare_cached(&self.events_between)?;
                page(
                    statement.query(params![ask.session_id, ask.after, wanted, before])?,
                    ask,
                )
            }
        }
    }
}

fn page(mut rows: Rows<'_>, ask: &Ask) -> rusqlite::Result<Events> {
    let mut events = Events::default();
    while let Some(row) = rows.next()? {
        match event(row, &ask.session_id) {
            Ok(event) if events.push(&event) => {}
            Err(error) if !events.end_early() => return Err(error),
            Ok(_) | Err(_) => break,
        }
    }
    Ok(events)
}
