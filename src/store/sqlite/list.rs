//! The statements that lists are read with. `read` runs them.

use std::borrow::Cow;
use std::iter;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Result, ToSql};

use super::tables::Tables;
use crate::store::cursor::Position;
use crate::store::find::{FindSessions, LOOKED_AT, SessionConditions};
use crate::store::list::{
    Condition, ESCAPES, EventList, Label, List, ListRequest, Order, Parameter, Parameters, RARE, SessionList,
};
use crate::store::tables::columns;

/// The lists of one store.
pub(super) struct Lists {
    tables: Tables,
    select_sessions: String,
    select_events: String,
}

/// A statement, and the values of its parameters.
pub(super) struct ListStatement<'a> {
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter<'a>>,
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Integer(number) => ToSqlOutput::from(*number),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::from(&**text)),
        })
    }
}

impl Lists {
    pub(super) fn of(tables: &Tables) -> Self {
        let sessions = columns::names(&columns::SESSIONS);
        let events = columns::names(columns::of_one_session());
        Self {
            tables: tables.clone(),
            select_sessions: format!("SELECT {sessions} FROM {}", tables.sessions),
            select_events: format!("SELECT {events} FROM {}", tables.events),
        }
    }

    /// What counts for each label of the list how many sessions have it, up to [`RARE`]. There are no statistics to ask.
    pub(super) fn label_counts<'a>(&self, list: &'a SessionList) -> ListStatement<'a> {
        let mut parameters = Parameters::new('?', RARE);
        let counts: Vec<String> = list
            .labels()
            .map(|label| {
                format!(
                    "(SELECT count(*) FROM ({} LIMIT ?1))",
                    labelled(&self.tables, label, &mut parameters)
                )
            })
            .collect();
        ListStatement {
            sql: format!("SELECT {}", counts.join(", ")),
            parameters: parameters.into_values(),
        }
    }

    /// What reads a page of sessions. `rare` is the label to begin with.
    pub(super) fn sessions<'a>(
        &self,
        request: &'a ListRequest<SessionList>,
        rare: Option<Label<'a>>,
    ) -> ListStatement<'a> {
        let conditions = request.list.conditions(&request.position, rare);
        let order = match rare {
            None => columns::SESSION_ORDER,
            // The plus keeps SQLite from going through the index in this order.
            Some(_) => ["+created_at", "+id"],
        };
        self.statement(&self.select_sessions, request, request.rows(), conditions, &order)
    }

    /// What reads a page of events.
    pub(super) fn events<'a>(&self, request: &'a ListRequest<EventList>) -> ListStatement<'a> {
        let conditions = request.list.conditions(&request.position);
        // The rows that are none of the list are known only once they are read. The reader stops when its page is full.
        let rows = request.list.filter.method.as_ref().map_or(request.rows(), |_| i64::MAX);
        self.statement(&self.select_events, request, rows, conditions, &["event_index"])
    }

    /// What looks at sessions in their order, and says of each whether it meets the conditions.
    pub(super) fn find<'a>(&self, request: &'a FindSessions) -> ListStatement<'a> {
        let mut parameters = Parameters::new('?', LOOKED_AT);
        let meets = all(&self.tables, request.conditions.conditions(), &mut parameters);
        let range = all(&self.tables, request.range(), &mut parameters);
        ListStatement {
            sql: format!(
                "SELECT created_at, id, {meets} FROM {} WHERE {range} ORDER BY {} LIMIT ?1",
                self.tables.sessions,
                columns::SESSION_ORDER.join(", "),
            ),
            parameters: parameters.into_values(),
        }
    }

    fn statement<'a, L: List>(
        &self,
        select: &str,
        request: &ListRequest<L>,
        rows: i64,
        conditions: Vec<Condition<'a>>,
        order: &[&str],
    ) -> ListStatement<'a> {
        let mut parameters = Parameters::new('?', rows);
        let mut sql = select.to_owned();
        for (position, condition) in conditions.into_iter().enumerate() {
            sql.push_str(if position == 0 { " WHERE " } else { " AND " });
            sql.push_str(&self::condition(&self.tables, condition, &mut parameters));
        }
        let direction = match request.list.order() {
            Order::Ascending => "",
            Order::Descending => " DESC",
        };
        let order: Vec<String> = order.iter().map(|column| format!("{column}{direction}")).collect();
        sql.push_str(" ORDER BY ");
        sql.push_str(&order.join(", "));
        sql.push_str(" LIMIT ?1");
        if let Position::Offset(offset) = request.position {
            sql.push_str(" OFFSET ");
            sql.push_str(&parameters.integer(offset));
        }
        ListStatement {
            sql,
            parameters: parameters.into_values(),
        }
    }
}

/// What says whether a session meets the conditions, if there is one.
pub(super) fn meets<'a>(tables: &Tables, session_id: &'a str, conditions: &'a SessionConditions) -> ListStatement<'a> {
    let mut parameters = Parameters::new('?', 1);
    let meets = all(tables, conditions.conditions(), &mut parameters);
    let session_id = parameters.text(session_id);
    ListStatement {
        sql: format!(
            "SELECT {meets} FROM {} WHERE id = {session_id} LIMIT ?1",
            tables.sessions
        ),
        parameters: parameters.into_values(),
    }
}

/// Whether all conditions are met.
fn all<'a>(tables: &Tables, conditions: Vec<Condition<'a>>, parameters: &mut Parameters<'a>) -> String {
    let conditions = conditions.into_iter().map(|each| condition(tables, each, parameters));
    let all = conditions.collect::<Vec<_>>().join(" AND ");
    if all.is_empty() { String::from("true") } else { all }
}

fn condition<'a>(tables: &Tables, condition: Condition<'a>, parameters: &mut Parameters<'a>) -> String {
    match condition {
        Condition::Equal(column, text) => format!("{column} = {}", parameters.text(text)),
        Condition::Above(column, number) => format!("{column} > {}", parameters.integer(number)),
        Condition::Below(column, number) => format!("{column} < {}", parameters.integer(number)),
        Condition::SessionAbove(key) => format!("(created_at, id) > {}", parameters.key(key)),
        Condition::SessionBelow(key) => format!("(created_at, id) < {}", parameters.key(key)),
        Condition::IdleBefore(time) => format!(
            "coalesce((SELECT stored.created_at FROM {} AS stored WHERE stored.session_id = {sessions}.id \
             ORDER BY stored.event_index DESC LIMIT 1), {sessions}.created_at) < {}",
            tables.events,
            parameters.integer(time),
            sessions = tables.sessions,
        ),
        Condition::Present(column) => format!("{column} IS NOT NULL"),
        Condition::Absent(column) => format!("{column} IS NULL"),
        Condition::Holds(column, text) => {
            let texts = iter::once(text).chain(ESCAPES.map(Cow::Borrowed));
            let holds: Vec<String> = texts
                .map(|text| format!("instr({column}, {})", parameters.text(text)))
                .collect();
            format!("({})", holds.join(" OR "))
        }
        Condition::Label((name, value)) => format!(
            "(SELECT value FROM {} WHERE session_id = {}.id AND name = {}) = {}",
            tables.labels,
            tables.sessions,
            parameters.text(name),
            parameters.text(value)
        ),
        Condition::RareLabel(label) => format!("id IN ({})", labelled(tables, label, parameters)),
    }
}

/// What reads the ids of the sessions with a label.
fn labelled<'a>(tables: &Tables, (name, value): Label<'a>, parameters: &mut Parameters<'a>) -> String {
    format!(
        "SELECT session_id FROM {} WHERE name = {} AND value = {}",
        tables.labels,
        parameters.text(name),
        parameters.text(value)
    )
}
