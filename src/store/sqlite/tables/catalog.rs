//! What a database holds: its tables of our names, their columns and indexes. `schema` decides by it what to do.

use crate::store::tables::TableName;
use crate::store::tables::found::{FoundColumn, FoundIndex, FoundTable, IndexedColumn};
use rusqlite::{Connection, OptionalExtension};

/// What SQLite makes of a value that is put into a column, by the column's declared type
/// (<https://www.sqlite.org/datatype3.html>, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    /// That of a column with this declared type, which is in capitals.
    pub(super) fn of(declared_type: &str) -> Self {
        let has = |word| declared_type.contains(word);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || declared_type.is_empty() {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

/// A view or trigger, as its owner made it.
pub(super) struct Definition {
    /// `view` or `trigger`.
    pub(super) kind: String,
    /// Its name.
    pub(super) name: String,
    /// The statement that makes it.
    pub(super) sql: String,
}

/// All views, and then all triggers: the order in which they can be made.
pub(super) fn views_and_triggers(connection: &Connection) -> rusqlite::Result<Vec<Definition>> {
    connection
        .prepare(
            "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY type DESC, rowid",
        )?
        .query_map([], |row| {
            Ok(Definition {
                kind: row.get(0)?,
                name: row.get(1)?,
                sql: row.get(2)?,
            })
        })?
        .collect()
}

/// The number in `user_version`; 0 when nobody set it.
pub(super) fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The highest number in a table of versions; 0 when it has no row, and none when something else stands in it.
pub(super) fn table_version(connection: &Connection, table: &TableName) -> rusqlite::Result<Option<i64>> {
    let sql = format!(
        "SELECT CASE WHEN count(*) = sum(typeof(version) = 'integer') THEN max(version) \
         WHEN count(*) = 0 THEN 0 END FROM {table}"
    );
    connection.query_row(&sql, [], |row| row.get(0))
}

/// Whether a row of the table meets the condition.
pub(super) fn has_row(connection: &Connection, table: &TableName, condition: &str) -> rusqlite::Result<bool> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {condition})");
    connection.query_row(&sql, [], |row| row.get(0))
}

/// Whether there are tables beside those of these names.
pub(super) fn has_other_tables(connection: &Connection, ours: [&String; 8]) -> rusqlite::Result<bool> {
    connection
        .prepare(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND name COLLATE NOCASE NOT IN (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))",
        )?
        .query_row(ours, |row| row.get(0))
}

/// Whether a table, view or index has this name.
pub(in crate::store::sqlite) fn has_name(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    // A trigger may have the name of a table.
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type <> 'trigger' AND name = ?1 COLLATE NOCASE)",
        )?
        .query_row([name], |row| row.get(0))
}

/// A name for a new index: the wished one, or it with a number when something has it already.
pub(in crate::store::sqlite) fn free_index_name(connection: &Connection, wished: &str) -> rusqlite::Result<String> {
    let mut name = wished.to_owned();
    let mut number = 1;
    while has_name(connection, &name)? {
        number += 1;
        name = format!("{wished}_{number}");
    }
    Ok(name)
}

/// Whether there is a table of this name.
pub(in crate::store::sqlite) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE)",
        )?
        .query_row([name], |row| row.get(0))
}

/// Looks a table up by its name.
pub(super) fn table(connection: &Connection, name: &str) -> rusqlite::Result<Option<FoundTable>> {
    let found = connection
        .prepare("SELECT type FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE")?
        .query_row([name], |row| row.get::<_, String>(0))
        .optional()?;
    let Some(found) = found else {
        return Ok(None);
    };
    let columns = connection
        .prepare(
            "SELECT name, upper(type), \"notnull\", \
             \"notnull\" AND dflt_value IS NULL AND hidden = 0 AND NOT (pk AND upper(type) = 'INTEGER'), hidden <> 0 \
             FROM pragma_table_xinfo(?1)",
        )?
        .query_map([name], |row| {
            Ok((
                row.get::<_, String>(0)?.to_lowercase(),
                FoundColumn {
                    data_type: row.get(1)?,
                    not_null: row.get(2)?,
                    must_be_given: row.get(3)?,
                    generated: row.get(4)?,
                },
            ))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let indexes = connection
        .prepare(
            "SELECT list.\"unique\", lower((SELECT group_concat(coalesce(name, '?')) \
             FROM (SELECT name FROM pragma_index_info(list.name) ORDER BY seqno))) \
             FROM pragma_index_list(?1) AS list WHERE list.partial = 0",
        )?
        .query_map([name], |row| {
            let names = row.get::<_, Option<String>>(1)?.unwrap_or_default();
            Ok(FoundIndex {
                unique: row.get(0)?,
                columns: names.split(',').map(indexed).collect(),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(FoundTable {
        other_than_table: match &*found {
            "table" => None,
            "view" => Some("a view"),
            "virtual" => Some("a virtual table"),
            _ => Some("a part of a virtual table"),
        },
        columns,
        indexes,
    }))
}

/// An index sorts by the column's own collation, as statements do, unless somebody wished otherwise.
fn indexed(name: &str) -> IndexedColumn {
    IndexedColumn {
        name: name.to_owned(),
        sorted_as_ours: true,
    }
}

/// Whether a table's rows are told apart by its primary key alone.
pub(in crate::store::sqlite) fn is_without_rowid(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let found = connection
        .prepare("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(false))
}
