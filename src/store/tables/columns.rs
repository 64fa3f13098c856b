//! The columns, in the order in which all statements name them.

/// A column of one of our tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub data: Data,
    /// Where it is to be expected.
    pub presence: Presence,
}

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// The id of a session or an event, or the name of a label. They are compared byte by byte.
    Id,
    /// Another text.
    Text,
    /// Milliseconds since 1970.
    Time,
    /// An event's index.
    Index,
    /// JSON text.
    Json,
}

/// Where a column is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// In every layout of the field, with a value in every row. A table without it is not one of ours.
    Always,
    /// Not in every layout; where it is, every row has a value.
    Filled,
    /// Not in every layout, and not every row has a value.
    Optional,
}

const fn column(name: &'static str, data: Data, presence: Presence) -> Column {
    Column { name, data, presence }
}

/// The columns of sessions.
pub const SESSIONS: [Column; 11] = [
    column("id", Data::Id, Presence::Always),
    column("agent", Data::Text, Presence::Always),
    column("agent_session_id", Data::Text, Presence::Always),
    column("last_connection_id", Data::Text, Presence::Always),
    column("created_at", Data::Time, Presence::Always),
    column("destroyed_at", Data::Time, Presence::Optional),
    column("sandbox_id", Data::Text, Presence::Optional),
    column("session_init_json", Data::Json, Presence::Optional),
    column("config_options_json", Data::Json, Presence::Optional),
    column("modes_json", Data::Json, Presence::Optional),
    column("extra_json", Data::Json, Presence::Optional),
];

/// The columns of events.
pub const EVENTS: [Column; 8] = [
    column("id", Data::Id, Presence::Always),
    column("event_index", Data::Index, Presence::Filled),
    column("session_id", Data::Id, Presence::Always),
    column("created_at", Data::Time, Presence::Always),
    column("connection_id", Data::Text, Presence::Always),
    column("sender", Data::Text, Presence::Always),
    column("payload_json", Data::Json, Presence::Always),
    column("extra_json", Data::Json, Presence::Optional),
];

/// The columns of labels.
pub const LABELS: [Column; 3] = [
    column("session_id", Data::Id, Presence::Always),
    column("name", Data::Id, Presence::Always),
    column("value", Data::Text, Presence::Always),
];

/// The columns of what is kept of deleted sessions.
pub const DELETED: [Column; 2] = [
    column("id", Data::Id, Presence::Always),
    column("deleted_at", Data::Time, Presence::Always),
];

/// The order of sessions.
pub const SESSION_ORDER: [&str; 2] = ["created_at", "id"];

/// An event's place.
pub const PLACE: [&str; 2] = ["session_id", "event_index"];

/// What tells one label from another.
pub const LABEL_KEY: [&str; 2] = ["session_id", "name"];

/// What is read of a session's events. The id of the session is known.
pub fn of_one_session() -> impl Iterator<Item = &'static Column> {
    EVENTS.iter().filter(|column| column.name != "session_id")
}

/// All of them, as a statement names them: `id, agent, ...`.
#[must_use]
pub fn names<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    join(columns, |column| column.name.to_owned())
}

/// What replaces a row: `agent = excluded.agent, ...`, for all columns but those that say which row it is.
#[must_use]
pub fn replacements(columns: &[Column], source: &str) -> String {
    let replaced = columns
        .iter()
        .filter(|column| !matches!(column.data, Data::Id | Data::Index));
    join(replaced, |Column { name, .. }| format!("{name} = {source}.{name}"))
}

/// What makes a table: `id TEXT NOT NULL, ...`, by a backend's types.
#[must_use]
pub fn definitions(columns: &[Column], data_type: impl Fn(Data) -> &'static str) -> String {
    join(columns.iter(), |Column { name, data, presence }| {
        let data_type = data_type(*data);
        match presence {
            Presence::Always | Presence::Filled => format!("{name} {data_type} NOT NULL"),
            Presence::Optional => format!("{name} {data_type}"),
        }
    })
}

/// All of them, each as `write` has it.
pub fn join<'a>(columns: impl IntoIterator<Item = &'a Column>, write: impl Fn(&Column) -> String) -> String {
    columns.into_iter().map(write).collect::<Vec<_>>().join(", ")
}
