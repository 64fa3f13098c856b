//! What of the owner's hangs on the table of events, so that another table must not take its place.

use rusqlite::Connection;

use crate::store::sqlite::tables::{NUMBER_COLUMN, Tables};
use crate::store::tables::columns::EVENTS;

/// In words, each thing by its name.
pub(super) fn of(connection: &Connection, tables: &Tables) -> rusqlite::Result<Vec<String>> {
    let events = &tables.events.plain;
    let list = |sql: &str| {
        let mut statement = connection.prepare(sql)?;
        let texts = statement.query_map([events], |row| row.get::<_, String>(0))?;
        texts.collect::<rusqlite::Result<Vec<_>>>()
    };
    let mut found = Vec::new();
    // What they refer to stands in their text alone. A search table may keep the numbers of the rows that it has found.
    let mut others = connection.prepare(
        "SELECT iif(type = 'table', 'virtual table', type) || ' ' || name, sql FROM sqlite_schema \
         WHERE type IN ('view', 'trigger') OR sql LIKE 'CREATE VIRTUAL TABLE%'",
    )?;
    let mut rows = others.query([])?;
    while let Some(row) = rows.next()? {
        if has_word(&row.get::<_, String>(1)?, events) {
            found.push(format!("the {}", row.get::<_, String>(0)?));
        }
    }
    found.extend(list(
        "SELECT 'a foreign key on ' || \"table\" FROM pragma_foreign_key_list(?1) GROUP BY id",
    )?);
    found.extend(list(
        "SELECT 'the foreign key of ' || other.name FROM sqlite_schema AS other, pragma_foreign_key_list(other.name) AS key \
         WHERE other.type = 'table' AND key.\"table\" = ?1 COLLATE NOCASE",
    )?);
    for column in list("SELECT lower(name) FROM pragma_table_xinfo(?1)")? {
        if column != NUMBER_COLUMN && EVENTS.iter().all(|ours| ours.name != column) {
            found.push(format!("the column {column}"));
        }
    }
    found.extend(list(
        "SELECT 'the default of column ' || name FROM pragma_table_xinfo(?1) WHERE dflt_value IS NOT NULL",
    )?);
    let sql = list("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?.concat();
    for (word, what) in [("CHECK", "a CHECK"), ("COLLATE", "a collation of a column")] {
        if has_word(&sql, word) {
            found.push(what.to_owned());
        }
    }
    found.extend(list(
        "SELECT 'the unique index ' || list.name || ' on an expression' FROM pragma_index_list(?1) AS list \
         WHERE list.\"unique\" AND EXISTS (SELECT 1 FROM pragma_index_info(list.name) WHERE name IS NULL)",
    )?);
    Ok(found)
}

/// For each unique key, the condition under which a row of the table is in the way of the row `NEW`. An index may compare texts in a
/// way of its own.
pub(super) fn in_the_way(connection: &Connection, tables: &Tables) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT group_concat(printf('\"%w\" = NEW.\"%w\" COLLATE \"%w\"', key.name, key.name, key.coll), ' AND ') \
         FROM pragma_index_list(?1) AS list, pragma_index_xinfo(list.name) AS key \
         WHERE list.\"unique\" AND key.key GROUP BY list.seq \
         UNION ALL SELECT printf('\"%w\" = NEW.\"%w\"', name, name) FROM pragma_table_info(?1) WHERE pk = 1 AND upper(type) = 'INTEGER'",
    )?;
    let conditions = statement.query_map([&tables.events.plain], |row| row.get(0))?;
    conditions.collect()
}

/// Whether a text of SQL has this word, in whatever case.
fn has_word(sql: &str, word: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    sql.split(|c| !is_of_word(c))
        .any(|found| found.eq_ignore_ascii_case(word))
}
