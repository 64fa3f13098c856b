//! What of the owner's hangs on the table of events, so that another table must not take its place.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::store::postgres::error::Failure;
use crate::store::postgres::statement::Parameter;
use crate::store::postgres::tables::Tables;
use crate::store::tables::columns::EVENTS;

/// In words, each thing by its name: views, triggers, rules, foreign keys, checks, defaults, policies, functions, partitions, what has
/// the type of its rows, and so on, as the server describes them. Keys and indexes are what a rebuild is to get rid of.
pub(super) async fn of(client: &Client, tables: &Tables) -> Result<Vec<String>, Failure> {
    let sql = "
        SELECT DISTINCT CASE r.rulename WHEN '_RETURN'
          THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0)
          ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END
        FROM pg_catalog.pg_depend d
        LEFT JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
        LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = d.objid
        LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
        WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = $1::pg_catalog.regclass
          AND d.classid <> 'pg_catalog.pg_type'::pg_catalog.regclass
          AND coalesce(c.relkind, '-') NOT IN ('i', 't') AND coalesce(k.contype, '-') NOT IN ('p', 'u', 'n')
        UNION ALL
        SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
        FROM pg_catalog.pg_type AS of_row
        JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
          AND d.refobjid IN (of_row.oid, of_row.typarray) AND d.deptype <> 'i'
        WHERE of_row.typrelid = $1::pg_catalog.regclass
        UNION ALL
        SELECT 'the column ' || attname FROM pg_catalog.pg_attribute
        WHERE attrelid = $1::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped AND attname <> ALL ($2)
        UNION ALL
        SELECT 'rights to the column ' || attname FROM pg_catalog.pg_attribute
        WHERE attrelid = $1::pg_catalog.regclass AND attnum > 0 AND attacl IS NOT NULL
        UNION ALL
        SELECT 'the partitions' FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.regclass AND relkind <> 'r'
        UNION ALL
        SELECT 'the table ' || inhparent::pg_catalog.regclass::pg_catalog.text || ', of which it is a part' FROM pg_catalog.pg_inherits
        WHERE inhrelid = $1::pg_catalog.regclass
        UNION ALL
        SELECT 'row level security' FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.regclass AND (relrowsecurity OR relforcerowsecurity)
        UNION ALL
        SELECT 'the replica identity' FROM pg_catalog.pg_class WHERE oid = $1::pg_catalog.regclass AND relreplident <> 'd'
        UNION ALL
        SELECT 'the publication ' || p.pubname FROM pg_catalog.pg_publication_tables p
        JOIN pg_catalog.pg_class c ON c.relname = p.tablename
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = p.schemaname
        WHERE c.oid = $1::pg_catalog.regclass";
    let ours = EVENTS.map(|column| column.name);
    let ours = ours.as_slice();
    let table = tables.events.to_string();
    let parameters: [Parameter<'_>; 2] = [(&table, Type::TEXT), (&ours, Type::TEXT_ARRAY)];
    let rows = client.query_typed(sql, &parameters).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
