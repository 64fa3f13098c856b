//! A row as a record or an event. Others may have written it: a value that no row of ours would hold is an error that names its column.

use std::borrow::Cow;
use std::fmt;

use rusqlite::Row;
use rusqlite::types::{FromSql, Type, ValueRef};

use crate::store::model::{SessionEvent, SessionRecord, checked_json, safe_integer};

/// A row with the columns of sessions, in their order.
pub(super) fn session<'a>(row: &'a Row<'_>) -> rusqlite::Result<SessionRecord<'a>> {
    Ok(SessionRecord {
        id: text(row, 0)?,
        agent: text(row, 1)?,
        agent_session_id: text(row, 2)?,
        last_connection_id: text(row, 3)?,
        created_at: integer(row, 4)?,
        destroyed_at: time(row, 5)?,
        sandbox_id: optional_text(row, 6)?,
        session_init: optional_json(row, 7)?,
        config_options: optional_json(row, 8)?,
        modes: optional_json(row, 9)?,
        extra: optional_json(row, 10)?,
    })
}

/// A row with the columns of one session's events, in their order.
pub(super) fn event<'a>(row: &'a Row<'_>, session_id: &'a str) -> rusqlite::Result<SessionEvent<'a>> {
    Ok(SessionEvent {
        id: text(row, 0)?,
        event_index: integer(row, 1)?,
        session_id: Cow::Borrowed(session_id),
        created_at: time(row, 2)?,
        connection_id: text(row, 3)?,
        sender: text(row, 4)?,
        payload: optional_json(row, 5)?.unwrap_or(Cow::Borrowed("null")),
        extra: optional_json(row, 6)?,
    })
}

/// A text column; a NULL that another program left in an adopted table reads as the empty string.
pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Cow<'a, str>> {
    Ok(optional_text(row, column)?.unwrap_or_default())
}

fn optional_text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<Cow<'a, str>>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    Ok(text.map(Cow::Borrowed))
}

/// A time that another program may have written with a fraction of a millisecond, which is left out. A session's
/// `created_at` is not read by this: a page's cursor must name it exactly.
#[allow(clippy::cast_possible_truncation)] // the cast saturates
fn time<V: FromSql + From<i64>>(row: &Row<'_>, column: usize) -> rusqlite::Result<V> {
    match row.get_ref(column)? {
        ValueRef::Real(time) => safe(row, column, time as i64),
        _ => integer(row, column),
    }
}

pub(super) fn integer<V: FromSql + From<i64>>(row: &Row<'_>, column: usize) -> rusqlite::Result<V> {
    match row.get_ref(column)? {
        ValueRef::Integer(number) => safe(row, column, number),
        _ => row.get(column),
    }
}

fn safe<V: From<i64>>(row: &Row<'_>, column: usize, number: i64) -> rusqlite::Result<V> {
    safe_integer(number)
        .map(V::from)
        .map_err(|problem| odd(row, column, Type::Integer, &problem))
}

/// A column of JSON text, which must be one whole JSON value: it goes into the page's text as it is.
fn optional_json<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<Cow<'a, str>>> {
    // A column of type JSON keeps a text that is a number as that number.
    let text = match row.get_ref(column)? {
        ValueRef::Integer(number) => return Ok(Some(Cow::Owned(number.to_string()))),
        ValueRef::Real(number) => return Ok(Some(Cow::Owned(number.to_string()))),
        value => value.as_str_or_null()?,
    };
    let Some(text) = text else {
        return Ok(None);
    };
    checked_json(text)
        .map(|json| Some(Cow::Borrowed(json)))
        .ok_or_else(|| odd(row, column, Type::Text, &"holds text that is not JSON"))
}

fn column_name(row: &Row<'_>, column: usize) -> String {
    let name = row.as_ref().column_name(column);
    name.map_or_else(|_| column.to_string(), str::to_owned)
}

/// The error for a value that no row of ours would hold.
fn odd(row: &Row<'_>, column: usize, data_type: Type, problem: &dyn fmt::Display) -> rusqlite::Error {
    let value = OddValue {
        column: column_name(row, column),
        problem: problem.to_string(),
    };
    rusqlite::Error::FromSqlConversionFailure(column, data_type, Box::new(value))
}

#[derive(Debug, thiserror::Error)]
#[error("column {column} {problem}")]
struct OddValue {
    column: String,
    problem: String,
}
