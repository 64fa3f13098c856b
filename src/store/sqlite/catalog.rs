//! What a database holds: its tables of our names, their columns and indexes. `schema` decides by it what to do.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

/// A table of one of our names, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// `table`, or `view` and the like.
    pub(super) kind: String,
    /// Whether the table has no rowid.
    pub(super) without_rowid: bool,
    /// Columns by name.
    pub(super) columns: HashMap<String, Column>,
    /// Whether a unique index holds exactly `(session_id, event_index)`.
    pub(super) unique_place: bool,
    /// Whether an index begins with `(created_at, id)`.
    pub(super) created_order: bool,
}

/// A column, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// The declared type, in capitals.
    pub(super) declared_type: String,
    /// Whether an insert that does not name the column fails.
    pub(super) must_be_given: bool,
}

/// The version that the database says its tables have; 0 when nobody said.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Looks a table up by its name.
pub(super) fn table(connection: &Connection, name: &str) -> rusqlite::Result<Option<Table>> {
    let found = connection
        .prepare("SELECT type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE")?
        .query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((kind, without_rowid)) = found else {
        return Ok(None);
    };
    let columns = connection
        .prepare("SELECT name, upper(type), \"notnull\" AND dflt_value IS NULL AND hidden = 0 AND NOT (pk AND upper(type) = 'INTEGER') FROM pragma_table_xinfo(?1)")?
        .query_map([name], |row| {
            Ok((
                row.get::<_, String>(0)?.to_lowercase(),
                Column {
                    declared_type: row.get(1)?,
                    must_be_given: row.get(2)?,
                },
            ))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let indexes: Vec<(bool, String)> = connection
        .prepare(
            "SELECT list.\"unique\", lower((SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(list.name) ORDER BY seqno))) \
             FROM pragma_index_list(?1) AS list WHERE list.partial = 0",
        )?
        .query_map([name], |row| {
            Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default()))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(Table {
        kind,
        without_rowid,
        columns,
        unique_place: indexes
            .iter()
            .any(|(unique, names)| *unique && names == "session_id,event_index"),
        created_order: indexes
            .iter()
            .any(|(_, names)| names == "created_at,id" || names.starts_with("created_at,id,")),
    }))
}
