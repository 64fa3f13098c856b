//! The steps in SQL. `migrate` runs these statements, and `plan` shows them.

use rusqlite::Connection;

use super::catalog::{Definition, free_index_name, views_and_triggers};
use super::schema::{HAS_FRACTIONAL_TIME, HAS_NO_INDEX, NUMBER_COLUMN, Plan, SqliteStep, Step, VersionPlace};
use super::{Tables, quote};
use crate::store::tables::columns::{DELETED, Data, EVENTS, LABELS, SESSIONS, definitions};
use crate::store::tables::plan::SqlStep;
use crate::store::tables::{BEYOND_INDEXES as BEYOND, TableName, VERSION};

/// A step as SQL, and which of the plan's steps it is; none for what is done around them.
pub(super) type Scripted<'a> = (Option<&'a Step>, SqlStep);

/// The steps of a plan in their order, and what is done around them.
///
/// Where rows are rewritten, the owner's views and triggers are taken out meanwhile, and put back as they were: SQLite's rename of a
/// column would make them mean the number instead of the id, and is refused when one of them is broken already; and a trigger must
/// not fire for, or forbid, what the owner did not do.
pub(super) fn script<'a>(
    connection: &Connection,
    tables: &Tables,
    plan: &'a Plan,
) -> rusqlite::Result<Vec<Scripted<'a>>> {
    let rewrites = |step: &Step| matches!(step, Step::RepairIndexes | Step::OfBackend(_));
    let owners = if plan.steps.iter().any(rewrites) {
        views_and_triggers(connection)?
    } else {
        Vec::new()
    };
    let indexes = Indexes::free(connection, tables)?;
    let mut script = Vec::new();
    if !owners.is_empty() {
        let out = owners.iter().map(take_out).collect();
        script.push((None, SqlStep::new("take the owner's views and triggers out", out)));
    }
    for step in &plan.steps {
        let statements = statements(tables, plan.event_key, &indexes, step);
        script.push((Some(step), SqlStep::new(step.to_string(), statements)));
    }
    if !owners.is_empty() {
        let back = owners.into_iter().map(|definition| definition.sql).collect();
        script.push((None, SqlStep::new("put them back as they were", back)));
    }
    script.extend(plan.write_version.map(|place| (None, write_version(tables, place))));
    Ok(script)
}

fn take_out(Definition { kind, name, .. }: &Definition) -> String {
    // A view takes its own triggers with it.
    format!("DROP {kind} IF EXISTS {}", quote(name))
}

fn write_version(Tables { version, .. }: &Tables, place: VersionPlace) -> SqlStep {
    let statements = match place {
        VersionPlace::UserVersion => vec![format!("PRAGMA user_version = {VERSION}")],
        VersionPlace::Table => vec![
            format!("CREATE TABLE IF NOT EXISTS {version} (version INTEGER NOT NULL)"),
            format!("DELETE FROM {version}"),
            format!("INSERT INTO {version} VALUES ({VERSION})"),
        ],
    };
    SqlStep::new(format!("write down version {VERSION} of the tables"), statements)
}

/// Names for new indexes that none has yet.
struct Indexes {
    created_order: String,
    place: String,
    label_value: String,
    deleted_at: String,
}

impl Indexes {
    fn free(connection: &Connection, tables: &Tables) -> rusqlite::Result<Self> {
        let free = |table: &TableName, columns| free_index_name(connection, &format!("{}_{columns}", table.plain));
        Ok(Self {
            created_order: free(&tables.sessions, "created_at_id")?,
            place: free(&tables.events, "session_id_event_index")?,
            label_value: free(&tables.labels, "name_value")?,
            deleted_at: free(&tables.deleted, "deleted_at")?,
        })
    }
}

fn statements(tables: &Tables, event_key: &str, indexes: &Indexes, step: &Step) -> Vec<String> {
    let (sessions, events, labels, deleted) = (&tables.sessions, &tables.events, &tables.labels, &tables.deleted);
    let Indexes {
        created_order,
        place,
        label_value,
        deleted_at,
    } = indexes;
    let order_sessions = || format!("CREATE INDEX \"{created_order}\" ON {sessions} (created_at, id)");
    let make_places_unique = || format!("CREATE UNIQUE INDEX \"{place}\" ON {events} (session_id, event_index)");
    match step {
        Step::CreateSessions => vec![
            format!(
                "CREATE TABLE {sessions} ({}, PRIMARY KEY (id))",
                definitions(&SESSIONS, declared_type)
            ),
            order_sessions(),
        ],
        // No index on `id`: random ids would halve the speed of writing. Not `WITHOUT ROWID`
        // either: it would keep a session's events side by side, which reads half again as fast, but it writes a fifth
        // slower with 32 sessions and a third slower with 512 (ARCHITECTURE.md, "Tables").
        Step::CreateEvents => vec![
            format!("CREATE TABLE {events} ({})", definitions(&EVENTS, declared_type)),
            make_places_unique(),
        ],
        Step::CreateLabels => vec![
            format!(
                "CREATE TABLE {labels} ({}, PRIMARY KEY (session_id, name)) WITHOUT ROWID",
                definitions(&LABELS, declared_type)
            ),
            format!("CREATE INDEX \"{label_value}\" ON {labels} (name, value)"),
        ],
        Step::CreateDeleted => vec![
            format!(
                "CREATE TABLE {deleted} ({}, PRIMARY KEY (id)) WITHOUT ROWID",
                definitions(&DELETED, declared_type)
            ),
            format!("CREATE INDEX \"{deleted_at}\" ON {deleted} (deleted_at)"),
        ],
        Step::AddColumn(table, column) => vec![format!(
            "ALTER TABLE {table} ADD COLUMN {} {}",
            column.name,
            declared_type(column.data)
        )],
        Step::OfBackend(SqliteStep::RoundTimes) => vec![format!(
            "UPDATE {sessions} SET created_at = CAST(created_at AS INTEGER) WHERE {HAS_FRACTIONAL_TIME}"
        )],
        Step::RepairIndexes => repair_indexes(events, event_key),
        // The number stays, as the row's key; the text beside it is what the SDK calls the event's id.
        Step::OfBackend(SqliteStep::TextIds) => vec![
            format!("ALTER TABLE {events} RENAME COLUMN id TO {NUMBER_COLUMN}"),
            format!("ALTER TABLE {events} ADD COLUMN id TEXT"),
            format!("UPDATE {events} SET id = CAST({NUMBER_COLUMN} AS TEXT)"),
        ],
        Step::UniquePlace => vec![make_places_unique()],
        Step::SessionOrder => vec![order_sessions()],
    }
}

/// By way of numbers that no session has, so that no two events meet at one index meanwhile.
fn repair_indexes(events: &TableName, event_key: &str) -> Vec<String> {
    let misnumbered = misnumbered_sessions(events);
    vec![
        format!(
            "UPDATE {events} AS stored SET event_index = renumbered.place + {BEYOND} FROM (\
               SELECT {event_key} AS row, row_number() OVER (PARTITION BY session_id ORDER BY event_index, created_at, id) AS place \
               FROM {events} WHERE session_id IN ({misnumbered})\
             ) AS renumbered WHERE stored.{event_key} = renumbered.row"
        ),
        format!("UPDATE {events} SET event_index = event_index - {BEYOND} WHERE event_index > {BEYOND}"),
    ]
}

/// Selects the sessions with events that have no index, or one that another has.
pub(super) fn misnumbered_sessions(events: &TableName) -> String {
    format!(
        "SELECT session_id FROM {events} WHERE {HAS_NO_INDEX} \
         UNION SELECT session_id FROM {events} GROUP BY session_id, event_index HAVING count(*) > 1"
    )
}

pub(in crate::store::sqlite) fn declared_type(data: Data) -> &'static str {
    match data {
        Data::Id | Data::Text | Data::Json => "TEXT",
        Data::Time | Data::Index => "INTEGER",
    }
}
