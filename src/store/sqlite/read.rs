//! What is read from SQLite: one session, a page of sessions, a page of events. The reader threads call it.

use std::borrow::Cow;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use super::connection::Target;
use super::schema::Tables;
use crate::store::Answer;
use crate::store::error::StoreError;
use crate::store::model::{SessionEvent, SessionRecord, checked_json};
use crate::store::page::{EventKey, PageText, Position, SessionKey};

/// A read as it was called.
#[derive(Debug)]
pub enum ReadRequest {
    /// One session, by its id.
    GetSession {
        /// The session's id.
        id: String,
    },
    /// A page of sessions.
    ListSessions {
        /// Where the page begins.
        position: Position<SessionKey>,
        /// How many sessions at most.
        limit: u32,
    },
    /// A page of one session's events.
    ListEvents {
        /// The session's id.
        session_id: String,
        /// Where the page begins.
        position: Position<EventKey>,
        /// How many events at most.
        limit: u32,
    },
}

/// One reader's connection and the statements it uses.
pub(super) struct Reader {
    connection: Connection,
    target: Target,
    get_session: String,
    sessions_from: String,
    sessions_after: String,
    events_from: String,
    events_after: String,
}

impl Reader {
    pub(super) fn open(target: &Target, tables: &Tables) -> Result<Self, StoreError> {
        let (sessions, events) = (&tables.sessions, &tables.events);
        let session_columns = "id, agent, agent_session_id, last_connection_id, created_at, destroyed_at, sandbox_id, \
                               session_init_json, config_options_json, modes_json, extra_json";
        let event_columns = "id, event_index, created_at, connection_id, sender, payload_json, extra_json";
        Ok(Self {
            connection: target.open_reader()?,
            target: target.clone(),
            get_session: format!("SELECT {session_columns} FROM {sessions} WHERE id = ?1"),
            sessions_from: format!(
                "SELECT {session_columns} FROM {sessions} ORDER BY created_at, id LIMIT ?1 OFFSET ?2"
            ),
            sessions_after: format!(
                "SELECT {session_columns} FROM {sessions} WHERE (created_at, id) > (?2, ?3) ORDER BY created_at, id LIMIT ?1"
            ),
            events_from: format!(
                "SELECT {event_columns} FROM {events} WHERE session_id = ?2 ORDER BY event_index LIMIT ?1 OFFSET ?3"
            ),
            events_after: format!(
                "SELECT {event_columns} FROM {events} WHERE session_id = ?2 AND event_index > ?3 ORDER BY event_index LIMIT ?1"
            ),
        })
    }

    /// Answers one read.
    pub(super) fn read(&self, request: &ReadRequest) -> Result<Answer, StoreError> {
        self.target
            .patiently(|| self.try_read(request))
            .map_err(|error| self.target.error(&doing(request), &error))
    }

    fn try_read(&self, request: &ReadRequest) -> rusqlite::Result<Answer> {
        match request {
            ReadRequest::GetSession { id } => {
                let mut statement = self.connection.prepare_cached(&self.get_session)?;
                let found = statement
                    .query_row([id], |row| {
                        let mut text = String::new();
                        session(row)?.write_json(&mut text);
                        Ok(text)
                    })
                    .optional()?;
                Ok(found.map_or(Answer::Absent, Answer::Json))
            }
            ReadRequest::ListSessions { position, limit } => {
                let more_than = i64::from(*limit) + 1;
                match position {
                    Position::Offset(offset) => {
                        let mut statement = self.connection.prepare_cached(&self.sessions_from)?;
                        sessions_page(statement.query(params![more_than, offset])?, *limit)
                    }
                    Position::After(key) => {
                        let mut statement = self.connection.prepare_cached(&self.sessions_after)?;
                        let rows = statement.query(params![more_than, key.created_at, key.id])?;
                        sessions_page(rows, *limit)
                    }
                }
            }
            ReadRequest::ListEvents {
                session_id,
                position,
                limit,
            } => {
                let more_than = i64::from(*limit) + 1;
                let (sql, start) = match position {
                    Position::Offset(offset) => (&self.events_from, offset),
                    Position::After(EventKey(index)) => (&self.events_after, index),
                };
                let mut statement = self.connection.prepare_cached(sql)?;
                let rows = statement.query(params![more_than, session_id, start])?;
                events_page(rows, session_id, *limit)
            }
        }
    }
}

fn doing(request: &ReadRequest) -> String {
    match request {
        ReadRequest::GetSession { id } => format!("reading session {id:?} from"),
        ReadRequest::ListSessions { .. } => String::from("listing the sessions of"),
        ReadRequest::ListEvents { session_id, .. } => {
            format!("reading the events of session {session_id:?} from")
        }
    }
}

fn sessions_page(mut rows: Rows<'_>, limit: u32) -> rusqlite::Result<Answer> {
    let mut page = PageText::new(limit);
    while let Some(row) = rows.next()? {
        let record = session(row)?;
        let key = SessionKey {
            created_at: record.created_at,
            id: record.id.clone().into_owned(),
        };
        if !page.push(key, |out| record.write_json(out)) {
            return Ok(Answer::Json(page.finish(true)));
        }
    }
    Ok(Answer::Json(page.finish(false)))
}

fn events_page(mut rows: Rows<'_>, session_id: &str, limit: u32) -> rusqlite::Result<Answer> {
    let mut page = PageText::new(limit);
    while let Some(row) = rows.next()? {
        let event = event(row, session_id)?;
        if !page.push(EventKey(event.event_index), |out| event.write_json(out)) {
            return Ok(Answer::Json(page.finish(true)));
        }
    }
    Ok(Answer::Json(page.finish(false)))
}

fn session<'a>(row: &'a Row<'_>) -> rusqlite::Result<SessionRecord<'a>> {
    Ok(SessionRecord {
        id: text(row, 0)?,
        agent: text(row, 1)?,
        agent_session_id: text(row, 2)?,
        last_connection_id: text(row, 3)?,
        created_at: row.get(4)?,
        destroyed_at: row.get(5)?,
        sandbox_id: optional_text(row, 6)?,
        session_init: optional_json(row, 7)?,
        config_options: optional_json(row, 8)?,
        modes: optional_json(row, 9)?,
        extra: optional_json(row, 10)?,
    })
}

fn event<'a>(row: &'a Row<'_>, session_id: &'a str) -> rusqlite::Result<SessionEvent<'a>> {
    Ok(SessionEvent {
        id: text(row, 0)?,
        event_index: row.get(1)?,
        session_id: Cow::Borrowed(session_id),
        created_at: row.get(2)?,
        connection_id: text(row, 3)?,
        sender: text(row, 4)?,
        payload: optional_json(row, 5)?.unwrap_or(Cow::Borrowed("null")),
        extra: optional_json(row, 6)?,
    })
}

/// A text column; a NULL that another program left in an adopted table reads as the empty string.
fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Cow<'a, str>> {
    Ok(optional_text(row, column)?.unwrap_or_default())
}

fn optional_text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<Cow<'a, str>>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    Ok(text.map(Cow::Borrowed))
}

/// A column of JSON text, which must be one whole JSON value: it goes into the page's text as it is.
fn optional_json<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<Cow<'a, str>>> {
    let Some(text) = row.get_ref(column)?.as_str_or_null()? else {
        return Ok(None);
    };
    checked_json(text).map(|json| Some(Cow::Borrowed(json))).ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(NotJson(column_name(row, column))))
    })
}

fn column_name(row: &Row<'_>, column: usize) -> String {
    let name = row.as_ref().column_name(column);
    name.map_or_else(|_| column.to_string(), str::to_owned)
}

#[derive(Debug, thiserror::Error)]
#[error("column {0} holds text that is not JSON")]
struct NotJson(String);
