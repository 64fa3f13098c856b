//! Looks at the tables and their indexes.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::store::check::{Code, Finding, Index, Look, Looked, redundant};
use crate::store::error::ErrorKind;
use crate::store::postgres::error::Failure;
use crate::store::postgres::rebuild;
use crate::store::postgres::statement::Parameter;
use crate::store::postgres::tables::{self, Tables};
use crate::store::tables::layout::Layout;

/// What there is to tell of the tables.
pub(super) async fn findings(client: &Client, tables: &Tables) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let not_ready = match tables::missing(client, tables).await? {
        Ok(None) => None,
        Ok(Some(missing)) => Some(format!("the tables lack something: {missing}")),
        Err(refusal) => Some(refusal.to_string()),
    };
    findings.extend(not_ready.map(|message| {
        let remedy = "let the owner of the tables open a driver once: it adds what is missing";
        Finding::new(Code::TablesNotReady, message, remedy)
    }));
    if tables::layout(client, tables).await? == Layout::Adopted {
        let finding = Finding::new(
            Code::AdoptedLayout,
            "the table of events was made by another program, and its keys and indexes slow each write down",
            "let the owner of the table run a rebuild",
        );
        findings.push(finding.of_table(&tables.events.plain));
    }
    if rebuild::is_interrupted(client, tables).await? {
        findings.push(Finding::interrupted_rebuild(&tables.events.plain));
    }
    for row in client.query_typed(TABLES, &of_ours(tables)).await? {
        let (table, is_unlogged, is_hidden): (&str, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if is_unlogged {
            let finding = Finding::new(
                Code::UnloggedTable,
                "the table is unlogged: a crash of the server empties it, and no standby has it",
                "ALTER TABLE ... SET LOGGED",
            );
            findings.push(finding.of_table(table));
        }
        if is_hidden {
            let finding = Finding::new(
                Code::RowSecurity,
                "row level security applies to this user: what it hides is as good as absent, and a session may be written twice",
                "see that its policies show this user every row that it may write to",
            );
            findings.push(finding.of_table(table));
        }
        let missing: Vec<&str> = row.try_get(3)?;
        if !missing.is_empty() {
            let finding = Finding::new(
                Code::MissingRight,
                format!("this user has no right to {} on the table", missing.join(", ")),
                "grant it, unless this driver is not to use it: DELETE is needed for deleting, pruning and compacting alone",
            );
            findings.push(finding.of_table(table));
        }
    }
    let (indexes, invalid) = indexes(client, tables).await?;
    findings.extend(invalid);
    findings.extend(redundant(&indexes));
    Ok(findings)
}

const TABLES: &str = "
    SELECT c.relname::pg_catalog.text, c.relpersistence = 'u', pg_catalog.row_security_active(c.oid),
           ARRAY(SELECT kind FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS kind
                 WHERE NOT pg_catalog.has_table_privilege(c.oid, kind))
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = ANY ($2) ORDER BY c.relname";

/// Our tables as parameters: their schema, and their names.
fn of_ours(tables: &Tables) -> [Parameter<'_>; 2] {
    [(&tables.schema, Type::TEXT), (&tables.plain, Type::TEXT_ARRAY)]
}

/// The indexes that hold every row, and findings about those that are not valid.
async fn indexes(client: &Client, tables: &Tables) -> Result<(Vec<Index>, Vec<Finding>), Failure> {
    let sql = "
        SELECT c.relname::pg_catalog.text, x.relname::pg_catalog.text, i.indisunique AND i.indimmediate,
               EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conindid = i.indexrelid),
               ARRAY(SELECT pg_catalog.format('%s %s %s %s', pg_catalog.pg_get_indexdef(i.indexrelid, k + 1, true),
                       i.indcollation[k], i.indclass[k], i.indoption[k])
                     FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k),
               i.indisvalid
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indpred IS NULL
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
        WHERE n.nspname = $1 AND c.relname = ANY ($2) ORDER BY x.relname";
    let (mut indexes, mut invalid) = (Vec::new(), Vec::new());
    for row in client.query_typed(sql, &of_ours(tables)).await? {
        let index = Index {
            table: row.try_get(0)?,
            name: row.try_get(1)?,
            unique: row.try_get(2)?,
            of_constraint: row.try_get(3)?,
            keys: row.try_get(4)?,
        };
        if row.try_get(5)? {
            indexes.push(index);
        } else {
            let finding = Finding::new(
                Code::InvalidIndex,
                format!(
                    "index {:?} is not valid: no query uses it, and each write pays for it",
                    index.name
                ),
                "REINDEX INDEX CONCURRENTLY, or drop it; a CREATE INDEX CONCURRENTLY was interrupted",
            );
            invalid.push(finding.of_table(&index.table));
        }
    }
    Ok((indexes, invalid))
}

/// Has the extension amcheck look at one of the indexes, where the server has it and this user may. Postgres itself has nothing
/// that looks for damage.
pub(super) async fn integrity(client: &Client, tables: &Tables, number: usize) -> Result<Looked, Failure> {
    let sql = "
        SELECT x.relname::pg_catalog.text, c.relname::pg_catalog.text,
               pg_catalog.format('SELECT %I.bt_index_check(%s)', e.nspname, x.oid)
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisvalid
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i'
        JOIN pg_catalog.pg_am m ON m.oid = x.relam AND m.amname = 'btree'
        JOIN (SELECT s.nspname, s.oid FROM pg_catalog.pg_extension t JOIN pg_catalog.pg_namespace s ON s.oid = t.extnamespace
              WHERE t.extname = 'amcheck') AS e ON true
        JOIN pg_catalog.pg_proc p ON p.pronamespace = e.oid AND p.proname = 'bt_index_check' AND p.pronargs = 1
          AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
        WHERE n.nspname = $1 AND c.relname = ANY ($2) ORDER BY x.oid";
    let rows = client.query_typed(sql, &of_ours(tables)).await?;
    let Some(row) = rows.get(number) else {
        return Ok(Looked::default());
    };
    let (index, table, check): (&str, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let mut looked = Looked {
        next: (number + 1 < rows.len()).then_some(Look::Integrity(number + 1)),
        ..Looked::default()
    };
    match client.query_typed(check, &[]).await.map_err(Failure::from) {
        Ok(_) => {}
        Err(failure) if failure.kind == ErrorKind::Corrupt => {
            let finding = Finding::new(
                Code::Damaged,
                format!("index {index:?} is damaged (amcheck)"),
                "REINDEX INDEX CONCURRENTLY, and see why: a disk, or a new version of the system's collations",
            );
            looked.findings.push(finding.of_table(table));
        }
        Err(failure) => return Err(failure),
    }
    Ok(looked)
}
