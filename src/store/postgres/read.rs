//! The statements that read: one session, a page of sessions, pages of events. `reader` and `ahead` run them.

use std::borrow::Cow;
use std::error::Error;
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, Row};

use super::connection::Connection;
use super::error::{Failure, Remedy};
use super::list::{self, ListStatement};
use super::tables::Tables;
use crate::store::cursor::{EventKey, Position, SessionKey};
use crate::store::error::ErrorKind;
use crate::store::find::{FindSessions, FoundSessions};
use crate::store::labels;
use crate::store::list::{EventList, Label, List, ListRequest, SessionList};
use crate::store::model::{SessionEvent, SessionRecord, checked_json, safe_integer};
use crate::store::page::{Page, PageSize, PageText};
use crate::store::tables::columns;

/// How much one statement reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// How much a page holds.
    pub(super) size: PageSize,
    pub(super) pages: u32,
    /// Past so many bytes no other page is begun, and one that is not full fails.
    pub(super) max_bytes: usize,
}

impl Span {
    /// One page.
    pub(super) fn page(size: PageSize) -> Self {
        Self {
            size,
            pages: 1,
            max_bytes: usize::MAX,
        }
    }

    /// How many rows that takes: one more shows whether there are others.
    fn rows(self) -> i64 {
        i64::from(self.size.items)
            .saturating_mul(i64::from(self.pages))
            .saturating_add(1)
    }
}

/// How many rows are read at a time when it is not known how many of them are wanted.
const CHUNK: i64 = 500;

/// The session's JSON text, if there is one.
pub(super) async fn session(client: &Client, tables: &Tables, id: &str) -> Result<Option<String>, Failure> {
    let columns = columns::names(&columns::SESSIONS);
    let sql = format!("SELECT {columns} FROM {} WHERE id = $1", tables.sessions);
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
    request: &ListRequest<SessionList>,
) -> Result<Page<SessionKey>, Failure> {
    let rare = rare_label(connection, tables, &request.list).await?;
    let statement = list::sessions(tables, request, rare);
    let push = |row: &Row, page: &mut PageText<SessionKey>| Ok(page.push_session(&session_of(row)?));
    pages(
        connection,
        &statement,
        &request.list,
        Span::page(request.size),
        push,
        drop,
    )
    .await
}

async fn rare_label<'a>(
    connection: &Connection,
    tables: &Tables,
    list: &'a SessionList,
) -> Result<Option<Label<'a>>, Failure> {
    if list.filter.labels.is_empty() {
        return Ok(None);
    }
    let statement = list::label_counts(tables, list);
    let rows: Vec<Row> = statement.rows(connection).await?.try_collect().await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let counts = (0..row.len()).map(|label| get(row, label));
    Ok(list.rare_label(&counts.collect::<Result<Vec<i64>, Failure>>()?))
}

/// A page of the sessions that meet conditions.
pub(super) async fn find(
    connection: &Connection,
    tables: &Tables,
    request: &FindSessions,
) -> Result<FoundSessions, Failure> {
    let statement = list::find(tables, request);
    let mut rows = pin!(statement.rows(connection).await?);
    let mut found = FoundSessions::default();
    let mut looked_at = 0;
    while let Some(row) = rows.try_next().await? {
        let key = SessionKey {
            created_at: time(&row, 0)?.unwrap_or_default(),
            id: text(&row, 1)?.into_owned(),
        };
        found.push(key, get::<Option<bool>>(&row, 2)? == Some(true));
        looked_at += 1;
    }
    Ok(found.finish(looked_at))
}

/// Pages of a session's events. Gives the last one back, and passes on those before it as soon as they are there.
pub(super) async fn events(
    connection: &Connection,
    tables: &Tables,
    events: &EventList,
    position: &Position<EventKey>,
    span: Span,
    pass_on: impl FnMut(Page<EventKey>),
) -> Result<Page<EventKey>, Failure> {
    let statement = list::events(tables, events, position, span.rows());
    let push = |row: &Row, page: &mut PageText<EventKey>| Ok(page.push_event(&event_of(row, &events.session_id)?));
    pages(connection, &statement, events, span, push, pass_on).await
}

/// A page of the events with the method that the list asks for, which is known of an event only once it is here. So it reads
/// chunks of a size that nothing of is left unread, until the page is full.
pub(super) async fn events_with_method(
    connection: &Connection,
    tables: &Tables,
    request: &ListRequest<EventList>,
) -> Result<Page<EventKey>, Failure> {
    let list = &request.list;
    let mut page = request.empty_page();
    let mut position = request.position.clone();
    // Most of what the server lets through has the method: then this is exactly what fills the page.
    let mut wanted = request.rows();
    loop {
        let statement = list::events(tables, list, &position, wanted);
        let mut rows = pin!(statement.rows(connection).await?);
        let mut unread = wanted;
        while let Some(row) = rows.try_next().await? {
            unread -= 1;
            let pushed = event_of(&row, &list.session_id).map(|event| {
                position = Position::After(EventKey(event.event_index));
                !list.selects(&event) || page.push_event(&event)
            });
            if matches!(pushed, Ok(true)) {
                continue;
            }
            if unread > 0 {
                connection.leave_unread();
            }
            pushed?;
            return Ok(page.finish(true));
        }
        if unread > 0 {
            return Ok(page.finish(false));
        }
        wanted = CHUNK;
    }
}

/// Puts rows on pages, each until it is full; `push` says whether its row still belongs to the page. Gives the last page back,
/// and passes on those before it.
async fn pages<L: List>(
    connection: &Connection,
    statement: &ListStatement<'_>,
    list: &L,
    span: Span,
    mut push: impl FnMut(&Row, &mut PageText<L::Key>) -> Result<bool, Failure>,
    mut pass_on: impl FnMut(Page<L::Key>),
) -> Result<Page<L::Key>, Failure> {
    let mut rows = pin!(statement.rows(connection).await?);
    let mut page = PageText::new(list.cursors(), span.size);
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
            pass_on(std::mem::replace(&mut page, PageText::new(list.cursors(), span.size)).finish(true));
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

pub(super) fn session_of(row: &Row) -> Result<SessionRecord<'_>, Failure> {
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

pub(super) fn event_of<'a>(row: &'a Row, session_id: &'a str) -> Result<SessionEvent<'a>, Failure> {
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
