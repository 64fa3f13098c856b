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
    /// Its indexes, but for partial ones.
    pub(super) indexes: Vec<Index>,
}

/// An index, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    unique: bool,
    /// Its columns in their order, with a comma between them; `?` for an expression.
    columns: String,
}

impl Table {
    /// Whether a unique index holds exactly these columns.
    pub(super) fn is_unique(&self, columns: &str) -> bool {
        self.indexes
            .iter()
            .any(|index| index.unique && index.columns == columns)
    }

    /// Whether an index begins with these columns.
    pub(super) fn is_ordered_by(&self, columns: &str) -> bool {
        self.indexes.iter().any(|index| {
            index
                .columns
                .strip_prefix(columns)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(','))
        })
    }
}

/// A column, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// The declared type, in capitals.
    pub(super) declared_type: String,
    /// Whether an insert that does not name the column fails.
    pub(super) must_be_given: bool,
    /// Whether the table computes the column, so that no insert can name it.
    pub(super) generated: bool,
}

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

impl Column {
    pub(super) fn affinity(&self) -> Affinity {
        let has = |word| self.declared_type.contains(word);
        if has("INT") {
            Affinity::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if has("BLOB") || self.declared_type.is_empty() {
            Affinity::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
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
pub(super) fn table_version(connection: &Connection, quoted_table: &str) -> rusqlite::Result<Option<i64>> {
    let sql = format!(
        "SELECT CASE WHEN count(*) = sum(typeof(version) = 'integer') THEN max(version) \
         WHEN count(*) = 0 THEN 0 END FROM {quoted_table}"
    );
    connection.query_row(&sql, [], |row| row.get(0))
}

/// Whether there are tables beside those of these names.
pub(super) fn has_other_tables(connection: &Connection, ours: [&str; 2]) -> rusqlite::Result<bool> {
    connection
        .prepare(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND name <> ?1 COLLATE NOCASE AND name <> ?2 COLLATE NOCASE)",
        )?
        .query_row(ours, |row| row.get(0))
}

/// A name for a new index: the wished one, or it with a number when an index has it already.
pub(super) fn free_index_name(connection: &Connection, wished: &str) -> rusqlite::Result<String> {
    let mut taken = connection
        .prepare("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?1 COLLATE NOCASE)")?;
    let mut name = wished.to_owned();
    let mut number = 1;
    while taken.query_row([&name], |row| row.get(0))? {
        number += 1;
        name = format!("{wished}_{number}");
    }
    Ok(name)
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
        .prepare("SELECT name, upper(type), \"notnull\" AND dflt_value IS NULL AND hidden = 0 AND NOT (pk AND upper(type) = 'INTEGER'), hidden <> 0 FROM pragma_table_xinfo(?1)")?
        .query_map([name], |row| {
            Ok((
                row.get::<_, String>(0)?.to_lowercase(),
                Column {
                    declared_type: row.get(1)?,
                    must_be_given: row.get(2)?,
                    generated: row.get(3)?,
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
            Ok(Index {
                unique: row.get(0)?,
                columns: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(Table {
        kind,
        without_rowid,
        columns,
        indexes,
    }))
}
