//! The statements that read: one session, a page of sessions, pages of events. `reader` and `ahead` run them.

use std::borrow::Cow;
use std::error::Error;
use std::pin::pin;
use std::sync::LazyLock;

use futures_util::TryStreamExt;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Row};

use super::connection::Connection;
use super::error::{Failure, Remedy};
use super::tables::Tables;
use crate::store::error::ErrorKind;
use crate::store::labels;
use crate::store::model::{SessionEvent, SessionRecord, checked_json, safe_integer};
use crate::store::page::{EventKey, Key, Page, PageText, Position, SessionKey};
use crate::store::tables::columns::{self, Column, Data};

static SESSION_COLUMNS: LazyLock<String> = LazyLock::new(|| columns::names(&columns::SESSIONS));

/// An index may be a smaller integer in a table of the field.
static EVENT_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    columns::join(columns::of_one_session(), |Column { name, data, .. }| match data {
        Data::Index => format!("{name}::bigint"),
        _ => (*name).to_owned(),
    })
});

/// How much one statement reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// How many events a page has.
    pub(super) limit: u32,
    pub(super) pages: u32,
    /// Past so many bytes no other page is begun, and one that is not full fails.
    pub(super) max_bytes: usize,
}

impl Span {
    /// One page, of any size.
    pub(super) fn page(limit: u32) -> Self {
        Self {
            limit,
            pages: 1,
            max_bytes: usize::MAX,
        }
    }

    /// How many rows that takes: one more shows whether there are others.
    fn rows(self) -> i64 {
        i64::from(self.limit)
            .saturating_mul(i64::from(self.pages))
            .saturating_add(1)
    }
}

/// The session's JSON text, if there is one.
pub(super) async fn session(client: &Client, tables: &Tables, id: &str) -> Result<Option<String>, Failure> {
    let sql = format!("SELECT {} FROM {} WHERE id = $1", *SESSION_COLUMNS, tables.sessions);
    let rows = client.query_typed(&sql, &[(&id, Type::TEXT)]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut text = String::new();
    session_of(row)?.write_json(&mut text);
    Ok(Some(text))
}

/// The JSON text of the session's labels.
pub(super) async fn labels(client: &Client, tables: &Tables, session_id: &str) -> Result<String, Failure> {
    let sql = format!(
        "SELECT name, value FROM {} WHERE session_id = $1 ORDER BY name",
        tables.labels
    );
    let rows = client.query_typed(&sql, &[(&session_id, Type::TEXT)]).await?;
    let label = |row| Ok((get::<&str>(row, 0)?, get::<&str>(row, 1)?));
    Ok(labels::json(
        rows.iter().map(label).collect::<Result<Vec<_>, Failure>>()?,
    ))
}

/// A page of sessions.
pub(super) async fn sessions(
    connection: &Connection,
    tables: &Tables,
    position: &Position<SessionKey>,
    limit: u32,
) -> Result<Page<SessionKey>, Failure> {
    let select = format!("SELECT {} FROM {}", *SESSION_COLUMNS, tables.sessions);
    let order = "ORDER BY created_at, id COLLATE pg_catalog.\"C\" LIMIT $1";
    let span = Span::page(limit);
    let wanted = span.rows();
    let push = |row: &Row, page: &mut PageText<SessionKey>| Ok(page.push_session(&session_of(row)?));
    match position {
        Position::Offset(offset) => {
            let sql = format!("{select} {order} OFFSET $2");
            let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&wanted, Type::INT8), (offset, Type::INT8)];
            pages(connection, &sql, &parameters, span, push, drop).await
        }
        Position::After(key) => {
            let sql = format!("{select} WHERE (created_at, id COLLATE pg_catalog.\"C\") > ($2, $3) {order}");
            let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
                (&wanted, Type::INT8),
                (&key.created_at, Type::INT8),
                (&key.id, Type::TEXT),
            ];
            pages(connection, &sql, &parameters, span, push, drop).await
        }
    }
}

/// Pages of a session's events. Gives the last one back, and passes on those before it as soon as they are there.
pub(super) async fn events(
    connection: &Connection,
    tables: &Tables,
    session_id: &str,
    position: &Position<EventKey>,
    span: Span,
    pass_on: impl FnMut(Page<EventKey>),
) -> Result<Page<EventKey>, Failure> {
    // A limit that the planner cannot know makes it go through the index in order. One that it knows, and that is more than it
    // believes the session to have, makes it fetch the whole rest of the session, and sort that, for each page.
    let (condition, offset, start) = match position {
        Position::Offset(offset) => ("", "OFFSET $3", offset),
        Position::After(EventKey(index)) => ("AND event_index > $3", "", index),
    };
    let sql = format!(
        "SELECT {} FROM {} WHERE session_id = $2 {condition} ORDER BY event_index LIMIT (SELECT $1) {offset}",
        *EVENT_COLUMNS, tables.events
    );
    let wanted = span.rows();
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&wanted, Type::INT8), (&session_id, Type::TEXT), (start, Type::INT8)];
    let push = |row: &Row, page: &mut PageText<EventKey>| Ok(page.push_event(&event_of(row, session_id)?));
    pages(connection, &sql, &parameters, span, push, pass_on).await
}

/// Puts rows on pages, each until it is full; `push` says whether its row still belongs to the page. Gives the last page back,
/// and passes on those before it.
async fn pages<K: Key>(
    connection: &Connection,
    sql: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
    span: Span,
    mut push: impl FnMut(&Row, &mut PageText<K>) -> Result<bool, Failure>,
    mut pass_on: impl FnMut(Page<K>),
) -> Result<Page<K>, Failure> {
    let rows = connection.query_typed_raw(
        sql,
        parameters.iter().map(|(value, data_type)| (*value, data_type.clone())),
    );
    let mut rows = pin!(rows.await?);
    let mut page = PageText::new(span.limit);
    let mut bytes: usize = 0;
    let mut unread = span.rows();
    let mut left = span.pages;
    while let Some(row) = rows.try_next().await? {
        unread -= 1;
        bytes = bytes.saturating_add(row.raw_size_bytes());
        let mut pushed = push(&row, &mut page);
        if let Ok(false) = pushed
            && left > 1
            && bytes <= span.max_bytes
        {
            left -= 1;
            pass_on(std::mem::replace(&mut page, PageText::new(span.limit)).finish(true));
            pushed = push(&row, &mut page);
        }
        if matches!(pushed, Ok(true)) && bytes <= span.max_bytes {
            continue;
        }
        if unread > 1 {
            connection.leave_unread();
        }
        if pushed? {
            return Err(Failure::new(
                Remedy::None,
                ErrorKind::Busy,
                "the page is too long to be read ahead",
            ));
        }
        return Ok(page.finish(true));
    }
    Ok(page.finish(false))
}

fn session_of(row: &Row) -> Result<SessionRecord<'_>, Failure> {
    Ok(SessionRecord {
        id: text(row, 0)?,
        agent: text(row, 1)?,
        agent_session_id: text(row, 2)?,
        last_connection_id: text(row, 3)?,
        created_at: time(row, 4)?.unwrap_or_default(),
        destroyed_at: time(row, 5)?,
        sandbox_id: optional_text(row, 6)?.map(Cow::Borrowed),
        session_init: optional_json(row, 7)?,
        config_options: optional_json(row, 8)?,
        modes: optional_json(row, 9)?,
        extra: optional_json(row, 10)?,
    })
}

fn event_of<'a>(row: &'a Row, session_id: &'a str) -> Result<SessionEvent<'a>, Failure> {
    Ok(SessionEvent {
        id: text(row, 0)?,
        event_index: safe(row, 1, get(row, 1)?)?,
        session_id: Cow::Borrowed(session_id),
        created_at: time(row, 2)?.unwrap_or_default(),
        connection_id: text(row, 3)?,
        sender: text(row, 4)?,
        payload: optional_json(row, 5)?.unwrap_or(Cow::Borrowed("null")),
        extra: optional_json(row, 6)?,
    })
}

fn get<'a, V: FromSql<'a>>(row: &'a Row, column: usize) -> Result<V, Failure> {
    row.try_get(column).map_err(|_| {
        Failure::odd_row(format_args!(
            "column {} holds a value of another type",
            name(row, column)
        ))
    })
}

/// A text column; a NULL that another program left in an adopted table reads as the empty string.
fn text(row: &Row, column: usize) -> Result<Cow<'_, str>, Failure> {
    Ok(Cow::Borrowed(optional_text(row, column)?.unwrap_or_default()))
}

fn optional_text(row: &Row, column: usize) -> Result<Option<&str>, Failure> {
    get(row, column)
}

fn time(row: &Row, column: usize) -> Result<Option<i64>, Failure> {
    get::<Option<i64>>(row, column)?
        .map(|time| safe(row, column, time))
        .transpose()
}

fn safe(row: &Row, column: usize, number: i64) -> Result<i64, Failure> {
    safe_integer(number).map_err(|problem| Failure::odd_row(format_args!("column {} {problem}", name(row, column))))
}

fn name(row: &Row, column: usize) -> &str {
    row.columns().get(column).map_or("?", tokio_postgres::Column::name)
}

/// A column of JSON text, which must be one whole JSON value: it goes into the page's text as it is.
fn optional_json(row: &Row, column: usize) -> Result<Option<Cow<'_, str>>, Failure> {
    let json = match get(row, column)? {
        None => return Ok(None),
        // The server has seen to it.
        Some(Json::Checked(json)) => Some(json),
        Some(Json::Text(text)) => checked_json(text),
    };
    json.map(|json| Some(Cow::Borrowed(json)))
        .ok_or_else(|| Failure::odd_row(format_args!("column {} holds text that is not JSON", name(row, column))))
}

/// The value of a JSON column. A table in the field may keep it as text.
enum Json<'a> {
    Checked(&'a str),
    Text(&'a str),
}

impl<'a> FromSql<'a> for Json<'a> {
    fn from_sql(data_type: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let text = str::from_utf8(raw)?;
        Ok(if *data_type == Type::JSON {
            Self::Checked(text)
        } else {
            Self::Text(text)
        })
    }

    fn accepts(data_type: &Type) -> bool {
        *data_type == Type::JSON || <&str as FromSql>::accepts(data_type)
    }
}
