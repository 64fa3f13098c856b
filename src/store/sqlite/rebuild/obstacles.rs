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
    // What they refer to stands in their text alone.
    for (name, sql) in
        list("SELECT type || ' ' || name FROM sqlite_schema WHERE type IN ('view', 'trigger') AND ?1 = ?1")?
            .into_iter()
            .zip(list(
                "SELECT sql FROM sqlite_schema WHERE type IN ('view', 'trigger') AND ?1 = ?1",
            )?)
    {
        if has_word(&sql, events) {
            found.push(format!("the {name}"));
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

/// The columns of each unique key, by which a row of the table is in the way of another one.
pub(super) fn unique_keys(connection: &Connection, tables: &Tables) -> rusqlite::Result<Vec<Vec<String>>> {
    let mut statement = connection.prepare(
        "SELECT group_concat(quote(key.name), char(10)), list.seq FROM pragma_index_list(?1) AS list, pragma_index_info(list.name) AS key \
         WHERE list.\"unique\" GROUP BY list.seq \
         UNION ALL SELECT quote(name), -1 FROM pragma_table_info(?1) WHERE pk = 1 AND upper(type) = 'INTEGER'",
    )?;
    let unquoted = |name: &str| name.trim_matches('\'').replace("''", "'").replace('"', "\"\"");
    let keys = statement.query_map([&tables.events.plain], |row| {
        Ok(row.get::<_, String>(0)?.lines().map(unquoted).collect())
    })?;
    keys.collect()
}

/// Whether a text of SQL has this word, in whatever case.
fn has_word(sql: &str, word: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    sql.split(|c| !is_of_word(c))
        .any(|found| found.eq_ignore_ascii_case(word))
}
