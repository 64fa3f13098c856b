//! The statements that lists are read with. `read` runs them.

use std::sync::LazyLock;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, RowStream};

use super::error::Failure;
use super::tables::Tables;
use crate::store::cursor::{EventKey, Position, SessionKey};
use crate::store::list::{Condition, EventList, List, ListRequest, Order, SessionList};
use crate::store::tables::TableName;
use crate::store::tables::columns::{self, Column, Data};

static SESSION_COLUMNS: LazyLock<String> = LazyLock::new(|| columns::names(&columns::SESSIONS));

/// An index may be a smaller integer in a table of the field.
static EVENT_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    columns::join(columns::of_one_session(), |Column { name, data, .. }| match data {
        Data::Index => format!("{name}::bigint"),
        _ => (*name).to_owned(),
    })
});

/// A statement, and the values of its parameters.
pub(super) struct ListStatement<'a> {
    sql: String,
    parameters: Vec<Parameter<'a>>,
}

/// The value of a parameter.
enum Parameter<'a> {
    Integer(i64),
    Text(&'a str),
    Owned(String),
}

impl ListStatement<'_> {
    /// Runs it.
    pub(super) async fn rows(&self, client: &Client) -> Result<RowStream, Failure> {
        let parameters = self.parameters.iter().map(|parameter| -> (&(dyn ToSql + Sync), Type) {
            match parameter {
                Parameter::Integer(number) => (number, Type::INT8),
                Parameter::Text(text) => (text, Type::TEXT),
                Parameter::Owned(text) => (text, Type::TEXT),
            }
        });
        Ok(client.query_typed_raw(&self.sql, parameters).await?)
    }
}

/// What reads a page of sessions.
pub(super) fn sessions<'a>(tables: &Tables, request: &'a ListRequest<SessionList>) -> ListStatement<'a> {
    let ListRequest { list, position, .. } = request;
    let mut statement = Unfinished::new(&SESSION_COLUMNS, &tables.sessions, request.rows());
    statement.conditions(&list.conditions(position));
    statement.order(&["created_at", "id COLLATE pg_catalog.\"C\""], list.order());
    statement.limit("$1", position)
}

/// What reads so many rows of a session's events.
pub(super) fn events<'a>(
    tables: &Tables,
    list: &'a EventList,
    position: &Position<EventKey>,
    rows: i64,
) -> ListStatement<'a> {
    let mut statement = Unfinished::new(&EVENT_COLUMNS, &tables.events, rows);
    statement.conditions(&list.conditions(position));
    if let Some(literal) = list.method_literal() {
        statement.payload_may_hold(literal);
    }
    statement.order(&["event_index"], list.order());
    // A limit that the planner cannot know makes it go through the index in order. One that it knows, and that is more than it
    // believes the session to have, makes it fetch the whole rest of the session, and sort that, for each page.
    statement.limit("(SELECT $1)", position)
}

/// A statement in the making.
struct Unfinished<'a> {
    statement: ListStatement<'a>,
    has_condition: bool,
}

impl<'a> Unfinished<'a> {
    /// Its first parameter is how many rows it reads.
    fn new(columns: &str, table: &TableName, rows: i64) -> Self {
        Self {
            statement: ListStatement {
                sql: format!("SELECT {columns} FROM {table}"),
                parameters: vec![Parameter::Integer(rows)],
            },
            has_condition: false,
        }
    }

    fn parameter(&mut self, value: Parameter<'a>) -> String {
        self.statement.parameters.push(value);
        format!("${}", self.statement.parameters.len())
    }

    fn and(&mut self, condition: &str) {
        let first = !std::mem::replace(&mut self.has_condition, true);
        self.statement.sql.push_str(if first { " WHERE " } else { " AND " });
        self.statement.sql.push_str(condition);
    }

    fn conditions(&mut self, conditions: &[Condition<'a>]) {
        for condition in conditions {
            let condition = match *condition {
                Condition::Equal(column, text) => format!("{column} = {}", self.parameter(Parameter::Text(text))),
                Condition::Above(column, number) => {
                    format!("{column} > {}", self.parameter(Parameter::Integer(number)))
                }
                Condition::Below(column, number) => {
                    format!("{column} < {}", self.parameter(Parameter::Integer(number)))
                }
                Condition::SessionAbove(key) => self.beside(">", key),
                Condition::SessionBelow(key) => self.beside("<", key),
                Condition::Present(column) => format!("{column} IS NOT NULL"),
                Condition::Absent(column) => format!("{column} IS NULL"),
            };
            self.and(&condition);
        }
    }

    /// Leaves out rows whose payload cannot have the string of that JSON literal anywhere. Where the payload writes a character
    /// as `\u` and digits, or a slash with a backslash, it is not known.
    fn payload_may_hold(&mut self, literal: String) {
        let literal = self.parameter(Parameter::Owned(literal));
        let payload = "payload_json::pg_catalog.text COLLATE pg_catalog.\"C\"";
        let holds = |text: &str| format!("pg_catalog.strpos({payload}, {text}) > 0");
        self.and(&format!(
            "({} OR {} OR {})",
            holds(&literal),
            holds(r"E'\\u'"),
            holds(r"E'\\/'")
        ));
    }

    fn beside(&mut self, side: &str, key: &'a SessionKey) -> String {
        let created_at = self.parameter(Parameter::Integer(key.created_at));
        let id = self.parameter(Parameter::Text(&key.id));
        format!("(created_at, id COLLATE pg_catalog.\"C\") {side} ({created_at}, {id})")
    }

    fn order(&mut self, expressions: &[&str], order: Order) {
        let direction = match order {
            Order::Ascending => "",
            Order::Descending => " DESC",
        };
        let expressions: Vec<String> = expressions.iter().map(|each| format!("{each}{direction}")).collect();
        self.statement.sql.push_str(" ORDER BY ");
        self.statement.sql.push_str(&expressions.join(", "));
    }

    fn limit<K>(mut self, limit: &str, position: &Position<K>) -> ListStatement<'a> {
        self.statement.sql.push_str(" LIMIT ");
        self.statement.sql.push_str(limit);
        if let Position::Offset(offset) = position {
            let offset = self.parameter(Parameter::Integer(*offset));
            self.statement.sql.push_str(" OFFSET ");
            self.statement.sql.push_str(&offset);
        }
        self.statement
    }
}
