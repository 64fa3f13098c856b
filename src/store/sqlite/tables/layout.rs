//! Tells whether the table of events is as we make it.

use rusqlite::{Connection, OptionalExtension};

use super::Tables;
use super::script::declared_type;
use crate::store::tables::columns::{EVENTS, PLACE, definitions};
use crate::store::tables::layout::Layout;

/// The layout of the table of events.
pub(in crate::store::sqlite) fn layout(connection: &Connection, tables: &Tables) -> rusqlite::Result<Layout> {
    let name = &tables.events.plain;
    let sql: Option<String> = connection
        .prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    // A rename changes what stands before the parenthesis. Checks, keys and options of the table stand in it, or behind it.
    let columns = sql.as_deref().and_then(|sql| Some(&sql[sql.find('(')?..]));
    let is_ours = columns == Some(&*format!("({})", definitions(&EVENTS, declared_type)));
    let indexes: Vec<String> = connection
        .prepare_cached(
            "SELECT list.\"unique\" || list.partial || ' ' || (SELECT group_concat(name || \"desc\" || coll, ' ') \
             FROM (SELECT * FROM pragma_index_xinfo(list.name) WHERE key ORDER BY seqno)) FROM pragma_index_list(?1) AS list",
        )?
        .query_map([name], |row| Ok(row.get::<_, Option<String>>(0)?.unwrap_or_default()))?
        .collect::<rusqlite::Result<_>>()?;
    let place = format!("10 {}", PLACE.map(|column| format!("{column}0BINARY")).join(" "));
    Ok(if is_ours && indexes == [place] {
        Layout::Own
    } else {
        Layout::Adopted
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::sqlite::tables::prepare;
    use crate::store::sqlite::{Location, Target};
    use crate::store::tables::TablePrefix;

    fn layout_after(before: &str, after: &str) -> Layout {
        let (target, tables) = (
            Target::new(Location::parse(":memory:").unwrap()),
            Tables::with_prefix(&TablePrefix::default()),
        );
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(before).unwrap();
        prepare(&connection, &target, &tables).unwrap();
        connection.execute_batch(after).unwrap();
        layout(&connection, &tables).unwrap()
    }

    #[test]
    fn a_table_is_ours_as_long_as_nobody_has_added_to_it() {
        assert_eq!(layout_after("", ""), Layout::Own);
        let renamed = "ALTER TABLE events RENAME TO other; ALTER TABLE other RENAME TO events";
        assert_eq!(layout_after("", renamed), Layout::Own);
        assert_eq!(layout_after("", "CREATE INDEX owners ON events (id)"), Layout::Adopted);
        assert_eq!(
            layout_after("", "ALTER TABLE events ADD COLUMN note TEXT"),
            Layout::Adopted
        );
        let made_by_others = "CREATE TABLE events (id TEXT PRIMARY KEY, event_index INTEGER NOT NULL, session_id TEXT NOT NULL, \
                              created_at INTEGER NOT NULL, connection_id TEXT NOT NULL, sender TEXT NOT NULL, payload_json TEXT NOT NULL)";
        assert_eq!(layout_after(made_by_others, ""), Layout::Adopted);
    }
}
