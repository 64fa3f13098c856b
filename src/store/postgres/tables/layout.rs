//! Tells whether the table of events is as we make it.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::Tables;
use crate::store::postgres::error::Failure;
use crate::store::tables::columns::{Data, EVENTS, PLACE, Presence, join};
use crate::store::tables::layout::Layout;

/// The layout of the table of events. Needs no right to it.
pub(in crate::store::postgres) async fn layout(client: &Client, tables: &Tables) -> Result<Layout, Failure> {
    // Constraints that refuse NULL are a part of the columns.
    let sql = "
        SELECT (SELECT pg_catalog.string_agg(pg_catalog.format('%s %s %s', a.attname,
                    CASE t.typnamespace WHEN 'pg_catalog'::pg_catalog.regnamespace THEN t.typname ELSE '?' END,
                    a.attnotnull::pg_catalog.text)
                  || CASE WHEN a.atttypmod >= 0 OR a.atthasdef OR a.attidentity <> '' THEN ' ?' ELSE '' END
                  || CASE WHEN a.attname IN ('id', 'session_id') AND l.collname IS DISTINCT FROM 'C' THEN ' ?' ELSE '' END,
                  ', ' ORDER BY a.attname)
                FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
               (SELECT pg_catalog.string_agg(pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), '^.* USING ', '')
                  || CASE WHEN i.indisunique AND i.indimmediate AND i.indisvalid THEN '' ELSE ' ?' END, '; ')
                FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid),
               c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relispartition AND c.reloftype = 0
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE c.oid IN (inhrelid, inhparent))
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = c.oid AND contype <> 'n')
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2";
    let rows = client
        .query_typed(sql, &[(&tables.schema, Type::TEXT), (&tables.events.plain, Type::TEXT)])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(Layout::Adopted);
    };
    let (columns, indexes): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    let is_plain: bool = row.try_get(2)?;
    let is_ours = is_plain
        && columns.is_some_and(|columns| columns == our_columns())
        && indexes.is_some_and(|indexes| indexes == format!("btree ({})", PLACE.join(", ")));
    Ok(if is_ours { Layout::Own } else { Layout::Adopted })
}

/// Our columns in the order of their names, as the statement above describes them.
fn our_columns() -> String {
    let mut columns = EVENTS;
    columns.sort_unstable_by_key(|column| column.name);
    join(&columns, |column| {
        let data_type = match column.data {
            Data::Id | Data::Text => "text",
            Data::Time | Data::Index => "int8",
            Data::Json => "json",
        };
        let not_null = column.presence != Presence::Optional;
        format!("{} {data_type} {not_null}", column.name)
    })
}
