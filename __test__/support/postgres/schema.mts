/** Schemas of a test's own in one database, and all that is in them, to compare. */
import { query } from "./server.mts";

let made = 0;

/** Makes a schema and fills it; the statements need not name it. */
export async function makeSchema(url: string, sql = ""): Promise<string> {
  const schema = `field_${(made += 1)}`;
  await query(url, `CREATE SCHEMA ${schema}; SET search_path = ${schema}; ${sql}`);
  return schema;
}

/**
 * All that a schema holds: relations, columns, constraints, indexes, triggers, rights, and every row with the transaction
 * that wrote it and the place that it is at. Equal before and after means that nobody has touched any of it.
 */
export async function contentsOf(url: string, schema: string): Promise<unknown> {
  const [{ contents }] = await query(
    url,
    `SELECT jsonb_build_object(
       'relations', (SELECT jsonb_agg(to_jsonb(c) - ARRAY['relpages', 'reltuples', 'relallvisible', 'relallfrozen',
           'relfrozenxid', 'relminmxid'] ORDER BY c.oid) FROM pg_class c WHERE relnamespace = n.oid),
       'columns', (SELECT jsonb_agg(to_jsonb(a) ORDER BY attrelid, attnum)
         FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = n.oid),
       'defaults', (SELECT jsonb_agg(pg_get_expr(adbin, adrelid) ORDER BY adrelid, adnum)
         FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid WHERE relnamespace = n.oid),
       'constraints', (SELECT jsonb_agg(pg_get_constraintdef(oid) ORDER BY oid) FROM pg_constraint
         WHERE connamespace = n.oid),
       'indexes', (SELECT jsonb_agg(to_jsonb(i) ORDER BY indexrelid)
         FROM pg_index i JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = n.oid),
       'triggers', (SELECT jsonb_agg(pg_get_triggerdef(g.oid) ORDER BY g.oid)
         FROM pg_trigger g JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = n.oid),
       'acl', nspacl::text) AS contents
     FROM pg_namespace n WHERE nspname = $1`,
    [schema],
  );
  const tables = await query<{ name: string }>(
    url,
    "SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') ORDER BY oid",
    [`"${schema.replaceAll('"', '""')}"`],
  );
  const rows = [];
  for (const { name } of tables) {
    rows.push(await query(url, `SELECT tableoid, xmin, ctid, t::text FROM ${name} AS t ORDER BY tableoid, ctid`));
  }
  return { contents, rows };
}
