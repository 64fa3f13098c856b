//! What a database holds: its tables of our names, their columns and indexes. `schema` decides by it what to do.

use std::collections::HashMap;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::store::postgres::error::Failure;
use crate::store::tables::TableName;
use crate::store::tables::found::{FoundColumn, FoundIndex, FoundTable, IndexedColumn};

/// Whether there is a schema of that name.
pub(super) async fn has_schema(client: &Client, schema: &str) -> Result<bool, Failure> {
    let sql = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
    Ok(!client.query_typed(sql, &[(&schema, Type::TEXT)]).await?.is_empty())
}

/// The tables of these names in the schema. Needs no right to the tables themselves.
pub(super) async fn tables(
    client: &Client,
    schema: &str,
    names: &[&str],
) -> Result<HashMap<String, FoundTable>, Failure> {
    let mut tables: HashMap<String, FoundTable> = HashMap::new();
    let columns = "
        SELECT c.relname::pg_catalog.text, c.relkind::pg_catalog.text, a.attname::pg_catalog.text,
               CASE s.nspname
                 WHEN 'pg_catalog' THEN pg_catalog.replace(pg_catalog.format_type(t.oid, NULL), 'pg_catalog.', '')
                 ELSE pg_catalog.format('%s.%s', s.nspname, t.typname) END,
               a.attnotnull,
               a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> '' OR a.attidentity = 'a'
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_namespace s ON s.oid = t.typnamespace
        WHERE n.nspname = $1 AND c.relname = ANY ($2)";
    let of_ours: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    for row in client.query_typed(columns, &of_ours).await? {
        let table = tables.entry(row.try_get(0)?).or_default();
        table.other_than_table = match row.try_get::<_, &str>(1)? {
            "r" | "p" => None,
            "v" => Some("a view"),
            "m" => Some("a materialized view"),
            "f" => Some("a foreign table"),
            "S" => Some("a sequence"),
            "i" | "I" => Some("an index"),
            _ => Some("a type"),
        };
        let Some(name) = row.try_get::<_, Option<String>>(2)? else {
            continue; // a table without columns
        };
        let column = FoundColumn {
            data_type: row.try_get(3)?,
            not_null: row.try_get(4)?,
            must_be_given: row.try_get(5)?,
            generated: row.try_get(6)?,
        };
        table.columns.insert(name, column);
    }
    // A key column that is an expression has attribute number 0, and is named `?`. What has a collation is sorted by its bytes.
    let indexes = "
        SELECT c.relname::pg_catalog.text, i.indisunique AND i.indimmediate,
               pg_catalog.array_agg(coalesce(a.attname, '?')::pg_catalog.text ORDER BY k.place),
               pg_catalog.array_agg(coalesce(l.collname IN ('C', 'POSIX'), i.indcollation[k.place] = 0) ORDER BY k.place)
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
        CROSS JOIN pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k (place)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[k.place] AND a.attnum > 0
        LEFT JOIN pg_catalog.pg_collation l ON l.oid = i.indcollation[k.place]
          AND l.collnamespace = 'pg_catalog'::pg_catalog.regnamespace
        WHERE n.nspname = $1 AND c.relname = ANY ($2)
        GROUP BY c.relname, i.indexrelid, i.indisunique, i.indimmediate";
    for row in client.query_typed(indexes, &of_ours).await? {
        if let Some(table) = tables.get_mut(row.try_get::<_, &str>(0)?) {
            let (names, sorted): (Vec<String>, Vec<bool>) = (row.try_get(2)?, row.try_get(3)?);
            let columns = names.into_iter().zip(sorted);
            let columns = columns.map(|(name, sorted_as_ours)| IndexedColumn { name, sorted_as_ours });
            table.indexes.push(FoundIndex {
                unique: row.try_get(1)?,
                columns: columns.collect(),
            });
        }
    }
    Ok(tables)
}

/// The statements that turn a trigger off, and on again as it was.
pub(super) struct Trigger {
    pub(super) disable: String,
    pub(super) enable: String,
}

/// The triggers of the table's owner that are on, those of its partitions too.
pub(super) async fn triggers(client: &Client, table: &TableName) -> Result<Vec<Trigger>, Failure> {
    let sql = "
        SELECT pg_catalog.format('ALTER TABLE ONLY %I.%I DISABLE TRIGGER %I', n.nspname, c.relname, tgname),
               pg_catalog.format('ALTER TABLE ONLY %I.%I ENABLE %sTRIGGER %I', n.nspname, c.relname,
                      CASE tgenabled WHEN 'R' THEN 'REPLICA ' WHEN 'A' THEN 'ALWAYS ' ELSE '' END, tgname)
        FROM pg_catalog.pg_trigger JOIN pg_catalog.pg_class c ON c.oid = tgrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgrelid IN (
          SELECT $1::pg_catalog.regclass UNION SELECT relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.regclass))";
    let rows = client.query_typed(sql, &[(&table.to_string(), Type::TEXT)]).await?;
    let trigger = |row: &Row| {
        Ok(Trigger {
            disable: row.try_get(0)?,
            enable: row.try_get(1)?,
        })
    };
    rows.iter().map(trigger).collect()
}
