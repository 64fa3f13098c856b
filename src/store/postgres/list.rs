//! The statements that lists are read with. `read` runs them.

use std::borrow::Cow;
use std::iter;
use std::sync::LazyLock;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, RowStream};

use super::error::Failure;
use super::tables::Tables;
use crate::store::cursor::{EventKey, Position};
use crate::store::find::{FindSessions, LOOKED_AT};
use crate::store::list::{
    Condition, ESCAPES, EventList, Label, List, ListRequest, Order, Parameter, Parameters, RARE, SessionList,
};
use crate::store::tables::TableName;
use crate::store::tables::columns::{self, Column, Data};

const SESSION_ORDER: [&str; 2] = ["created_at", "id COLLATE pg_catalog.\"C\""];

static SESSION_COLUMNS: LazyLock<String> = LazyLock::new(|| columns::names(&columns::SESSIONS));

/// An index may be a smaller integer in a table of the field.
pub(super) static EVENT_COLUMNS: LazyLock<String> = LazyLock::new(|| {
    columns::join(columns::of_one_session(), |Column { name, data, .. }| match data {
        Data::Index => format!("{name}::bigint"),
        _ => (*name).to_owned(),
    })
});

/// A statement, and the values of its parameters.
pub(super) struct ListStatement<'a> {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter<'a>>,
}

impl ListStatement<'_> {
    /// Runs it.
    pub(super) async fn rows(&self, client: &Client) -> Result<RowStream, Failure> {
        let parameters = self.parameters.iter().map(|parameter| -> (&(dyn ToSql + Sync), Type) {
            match parameter {
                Parameter::Integer(number) => (number, Type::INT8),
                Parameter::Text(text) => (text, Type::TEXT),
            }
        });
        Ok(client.query_typed_raw(&self.sql, parameters).await?)
    }
}

/// What counts for each label of the list how many sessions have it, up to [`RARE`]. The planner's own estimate may be of a table
/// that was never analyzed, and takes the name and the value for independent.
pub(super) fn label_counts<'a>(tables: &Tables, list: &'a SessionList) -> ListStatement<'a> {
    let mut parameters = Parameters::new('$', RARE);
    let counts: Vec<String> = list
        .labels()
        .map(|label| {
            let labelled = labelled("session_id", tables, label, &mut parameters);
            format!("(SELECT pg_catalog.count(*) FROM ({labelled} LIMIT $1) AS labelled)")
        })
        .collect();
    ListStatement {
        sql: format!("SELECT {}", counts.join(", ")),
        parameters: parameters.into_values(),
    }
}

/// What reads a page of sessions. `rare` is the label to begin with.
pub(super) fn sessions<'a>(
    tables: &Tables,
    request: &'a ListRequest<SessionList>,
    rare: Option<Label<'a>>,
) -> ListStatement<'a> {
    let ListRequest { list, position, .. } = request;
    let mut parameters = Parameters::new('$', request.rows());
    let conditions = list.conditions(position, rare).into_iter();
    let conditions = conditions.map(|each| condition(tables, each, &mut parameters));
    let select = Select {
        columns: &SESSION_COLUMNS,
        table: &tables.sessions,
        conditions: conditions.collect(),
        order: &SESSION_ORDER,
        limit: "$1",
    };
    select.statement(list.order(), position, parameters)
}

/// What reads so many rows of a session's events.
pub(super) fn events<'a>(
    tables: &Tables,
    list: &'a EventList,
    position: &Position<EventKey>,
    rows: i64,
) -> ListStatement<'a> {
    let mut parameters = Parameters::new('$', rows);
    let conditions = list.conditions(position).into_iter();
    let conditions = conditions.map(|each| condition(tables, each, &mut parameters));
    let select = Select {
        columns: &EVENT_COLUMNS,
        table: &tables.events,
        conditions: conditions.collect(),
        order: &["event_index"],
        // A limit that the planner cannot know makes it go through the index in order. One that it knows, and that is more than
        // it believes the session to have, makes it fetch the whole rest of the session, and sort that, for each page.
        limit: "(SELECT $1)",
    };
    select.statement(list.order(), position, parameters)
}

/// What looks at sessions in their order, and says of each whether it meets the conditions.
pub(super) fn find<'a>(tables: &Tables, request: &'a FindSessions) -> ListStatement<'a> {
    let mut parameters = Parameters::new('$', LOOKED_AT);
    let meets = all(tables, request.conditions.conditions(), &mut parameters);
    let range = all(tables, request.range(), &mut parameters);
    ListStatement {
        sql: format!(
            "SELECT created_at, id, {meets} FROM {} WHERE {range} ORDER BY {} LIMIT $1",
            tables.sessions,
            SESSION_ORDER.join(", ")
        ),
        parameters: parameters.into_values(),
    }
}

/// Whether all conditions are met.
pub(super) fn all<'a>(tables: &Tables, conditions: Vec<Condition<'a>>, parameters: &mut Parameters<'a>) -> String {
    let conditions = conditions.into_iter().map(|each| condition(tables, each, parameters));
    let all = conditions.collect::<Vec<_>>().join(" AND ");
    if all.is_empty() { String::from("true") } else { all }
}

/// The parts of a statement.
struct Select<'a> {
    columns: &'a str,
    table: &'a TableName,
    conditions: Vec<String>,
    /// In ascending order.
    order: &'a [&'a str],
    limit: &'a str,
}

impl Select<'_> {
    fn statement<'a, K>(
        self,
        order: Order,
        position: &Position<K>,
        mut parameters: Parameters<'a>,
    ) -> ListStatement<'a> {
        let mut sql = format!("SELECT {} FROM {}", self.columns, self.table);
        if !self.conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.conditions.join(" AND "));
        }
        let direction = match order {
            Order::Ascending => "",
            Order::Descending => " DESC",
        };
        let order: Vec<String> = self.order.iter().map(|each| format!("{each}{direction}")).collect();
        sql.push_str(" ORDER BY ");
        sql.push_str(&order.join(", "));
        sql.push_str(" LIMIT ");
        sql.push_str(self.limit);
        if let Position::Offset(offset) = position {
            sql.push_str(" OFFSET ");
            sql.push_str(&parameters.integer(*offset));
        }
        ListStatement {
            sql,
            parameters: parameters.into_values(),
        }
    }
}

fn condition<'a>(tables: &Tables, condition: Condition<'a>, parameters: &mut Parameters<'a>) -> String {
    match condition {
        Condition::Equal(column, text) => format!("{column} = {}", parameters.text(text)),
        Condition::Above(column, number) => format!("{column} > {}", parameters.integer(number)),
        Condition::Below(column, number) => format!("{column} < {}", parameters.integer(number)),
        Condition::SessionAbove(key) => {
            format!("(created_at, id COLLATE pg_catalog.\"C\") > {}", parameters.key(key))
        }
        Condition::SessionBelow(key) => {
            format!("(created_at, id COLLATE pg_catalog.\"C\") < {}", parameters.key(key))
        }
        // As with a rare label, the column's own collation compares the ids, so that its index finds them.
        Condition::IdleBefore(time) => format!(
            "COALESCE((SELECT stored.created_at FROM {} AS stored WHERE stored.session_id = pg_catalog.to_json({sessions}.id) #>> '{{}}' \
             ORDER BY stored.event_index DESC LIMIT 1), {sessions}.created_at) < {}",
            tables.events,
            parameters.integer(time),
            sessions = tables.sessions,
        ),
        Condition::Present(column) => format!("{column} IS NOT NULL"),
        Condition::Absent(column) => format!("{column} IS NULL"),
        Condition::Holds(column, text) => {
            let column = format!("{column}::pg_catalog.text COLLATE pg_catalog.\"C\"");
            let texts = iter::once(text).chain(ESCAPES.map(Cow::Borrowed));
            let holds = texts.map(|text| format!("pg_catalog.strpos({column}, {}) > 0", parameters.text(text)));
            format!("({})", holds.collect::<Vec<_>>().join(" OR "))
        }
        // A subquery that is a value is run for each row that is come to, and never made a join. The planner takes it to be true for
        // half of the rows, and so goes through them in order.
        Condition::Label((name, value)) => format!(
            "(SELECT true FROM {} WHERE session_id = {}.id COLLATE pg_catalog.\"C\" AND name = {} AND value = {})",
            tables.labels,
            tables.sessions,
            parameters.text(name),
            parameters.text(value)
        ),
        // Ids of an older table have another collation, and an index of that. JSON has none: what comes out of it is compared by
        // that of the column.
        Condition::RareLabel(label) => {
            let ids = labelled("pg_catalog.to_json(session_id) #>> '{}'", tables, label, parameters);
            format!("id = ANY (ARRAY({ids}))")
        }
    }
}

/// What reads an expression of the rows of a label.
fn labelled<'a>(
    expression: &str,
    tables: &Tables,
    (name, value): Label<'a>,
    parameters: &mut Parameters<'a>,
) -> String {
    format!(
        "SELECT {expression} FROM {} WHERE name = {} AND value = {}",
        tables.labels,
        parameters.text(name),
        parameters.text(value)
    )
}
