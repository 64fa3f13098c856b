//! The statements that lists are read with. `read` runs them.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Result, ToSql};

use super::tables::Tables;
use crate::store::cursor::Position;
use crate::store::list::{Condition, EventList, List, ListRequest, Order, SessionList};
use crate::store::tables::columns;

/// What the statements begin with.
pub(super) struct Lists {
    sessions: String,
    events: String,
}

/// A statement, and the values of its parameters.
pub(super) struct ListStatement<'a> {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter<'a>>,
}

/// The value of a parameter.
pub(super) enum Parameter<'a> {
    Integer(i64),
    Text(&'a str),
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Integer(number) => ToSqlOutput::from(*number),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::from(*text)),
        })
    }
}

impl Lists {
    pub(super) fn new(tables: &Tables) -> Self {
        Self {
            sessions: format!("SELECT {} FROM {}", columns::names(&columns::SESSIONS), tables.sessions),
            events: format!(
                "SELECT {} FROM {}",
                columns::names(columns::of_one_session()),
                tables.events
            ),
        }
    }

    /// What reads a page of sessions.
    pub(super) fn sessions<'a>(&self, request: &'a ListRequest<SessionList>) -> ListStatement<'a> {
        let conditions = request.list.conditions(&request.position);
        statement(
            &self.sessions,
            request,
            request.rows(),
            &conditions,
            &columns::SESSION_ORDER,
        )
    }

    /// What reads a page of events.
    pub(super) fn events<'a>(&self, request: &'a ListRequest<EventList>) -> ListStatement<'a> {
        let conditions = request.list.conditions(&request.position);
        // The rows that are none of the list are known only once they are read. The reader stops when its page is full.
        let rows = request.list.filter.method.as_ref().map_or(request.rows(), |_| i64::MAX);
        statement(&self.events, request, rows, &conditions, &["event_index"])
    }
}

fn statement<'a, L: List>(
    select: &str,
    request: &ListRequest<L>,
    rows: i64,
    conditions: &[Condition<'a>],
    order: &[&str],
) -> ListStatement<'a> {
    let mut parameters = vec![Parameter::Integer(rows)];
    let mut parameter = |value| {
        parameters.push(value);
        format!("?{}", parameters.len())
    };
    let mut sql = select.to_owned();
    for (position, condition) in conditions.iter().enumerate() {
        let condition = match *condition {
            Condition::Equal(column, text) => format!("{column} = {}", parameter(Parameter::Text(text))),
            Condition::Above(column, number) => format!("{column} > {}", parameter(Parameter::Integer(number))),
            Condition::Below(column, number) => format!("{column} < {}", parameter(Parameter::Integer(number))),
            Condition::SessionAbove(key) => format!(
                "(created_at, id) > ({}, {})",
                parameter(Parameter::Integer(key.created_at)),
                parameter(Parameter::Text(&key.id))
            ),
            Condition::SessionBelow(key) => format!(
                "(created_at, id) < ({}, {})",
                parameter(Parameter::Integer(key.created_at)),
                parameter(Parameter::Text(&key.id))
            ),
            Condition::Present(column) => format!("{column} IS NOT NULL"),
            Condition::Absent(column) => format!("{column} IS NULL"),
        };
        sql.push_str(if position == 0 { " WHERE " } else { " AND " });
        sql.push_str(&condition);
    }
    let direction = match request.list.order() {
        Order::Ascending => "",
        Order::Descending => " DESC",
    };
    sql.push_str(" ORDER BY ");
    let order: Vec<String> = order.iter().map(|column| format!("{column}{direction}")).collect();
    sql.push_str(&order.join(", "));
    sql.push_str(" LIMIT ?1");
    if let Position::Offset(offset) = request.position {
        sql.push_str(" OFFSET ");
        sql.push_str(&parameter(Parameter::Integer(offset)));
    }
    ListStatement { sql, parameters }
}
