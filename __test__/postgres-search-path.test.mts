/**
 * A hostile `search_path`: functions, types and collations of the names that Postgres' own have stand before them, and
 * whoever runs one of them is caught. Everything the driver does goes by the real ones.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { countOf, NOTHING } from "./support/deletion.mts";
import { LAYOUT_0_4, rowsOf } from "./support/postgres/layouts.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

/** Functions that fail when they are run. The first two fit better than Postgres' own, and so win even from behind it. */
const FUNCTIONS = [
  "format(text, regclass, name)",
  "format(text, regclass, text, name)",
  "generate_series(integer, integer)",
  "hashtextextended(text, bigint)",
  "pg_advisory_xact_lock(bigint)",
  "set_config(text, text, boolean)",
  "unnest(anyarray)",
  "format_type(oid, integer)",
  "pg_partition_tree(regclass)",
  "gen_random_uuid()",
  "pg_current_snapshot()",
  "pg_current_xact_id()",
  "pg_postmaster_start_time()",
].map(
  (signature) => `CREATE FUNCTION trap.${signature} RETURNS ${signature.startsWith("format") ? "text" : "SETOF bigint"}
    LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped by ${signature}'; END $$;`,
);

const AGGREGATES = [
  ["max", "bigint"],
  ["min", "bigint"],
  ["count", "*"],
  ["string_agg", "text, text"],
].map(([name, types]) => {
  const step = `trap.step_${name}(${["text", ...(types === "*" ? [] : [types])].join(", ")})`;
  return `CREATE FUNCTION ${step} RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped by ${name}'; END $$;
    CREATE AGGREGATE trap.${name}(${types}) (SFUNC = trap.step_${name}, STYPE = text);`;
});

/** Types that take no value, and a collation that takes `a` for `A`. */
const TYPES = `
  CREATE DOMAIN trap.text AS pg_catalog.text CHECK (false);
  CREATE DOMAIN trap.json AS pg_catalog.json CHECK (false);
  CREATE DOMAIN trap.regclass AS pg_catalog.oid CHECK (false);
  CREATE COLLATION trap."C" (PROVIDER = icu, LOCALE = 'en-u-ks-level1', DETERMINISTIC = false);`;

test("nothing that a search_path puts before Postgres' own is run, or used for a column", async () => {
  const url = await server.createDatabase();
  await query(url, `CREATE SCHEMA trap; ${FUNCTIONS.join("\n")} ${AGGREGATES.join("\n")} ${TYPES}`);
  for (const path of ["trap,pg_catalog", "pg_catalog,trap", "trap"]) {
    const connectionString = `${url}?options=${encodeURIComponent(`-c search_path=${path}`)}`;
    const old = await makeSchema(
      url,
      `${LAYOUT_0_4} ${rowsOf([["a", 1, "s", 1], ["b", 1, "s", 2], ["c", 3, "t", 3]])};
       CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
       CREATE TRIGGER "My Trigger" BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION keep();`, // prettier-ignore
    );
    const fresh = `fresh_${path.replaceAll(",", "_")}`;
    for (const schema of [old, fresh]) {
      await using driver = new PostgresSessionPersistDriver({ connectionString, schema });
      await driver.ready();
      const found = await allEvents(driver, "s");
      const first = found.length + 1;
      // One alone, many at once, the same again, and others at their places.
      await driver.insertEvent("s", eventAt("s", first));
      const upTo = Array.from({ length: 20 }, (_, at) => eventAt("s", first + 1 + at));
      await Promise.all(upTo.map((event) => driver.insertEvent("s", event)));
      await Promise.all(upTo.map((event) => driver.insertEvent("s", event)));
      const late = eventAt("s", first, { id: "late" });
      await driver.insertEvent("s", late);
      assert.equal(late.eventIndex, first + 21);
      await Promise.all(["b", "a", "B", "A"].map((id) => driver.updateSession(sessionOf(id))));
      assert.equal((await allEvents(driver, "s", 3)).length, first + 21);
      const { items, nextCursor } = await driver.listSessions({ limit: 3 });
      const rest = await driver.listSessions({ cursor: nextCursor });
      const ids = [...items, ...rest.items].map(({ id }) => id);
      assert.deepEqual(ids.filter((id) => /^[ab]$/i.test(id)), ["A", "B", "a", "b"]); // prettier-ignore
      assert.deepEqual(await driver.getSession("a"), sessionOf("a"));
      await Promise.all([driver.updateSession(sessionOf("s")), driver.setLabels("s", { a: "b" })]);
      for await (const { eventIndex } of driver.tailEvents({ sessionId: "s" })) if (eventIndex === first + 21) break;
      const { id } = await driver.forkSession("s", { id: `copy-in-${schema}` });
      assert.deepEqual(await countOf(driver, id), { records: 1, events: first + 21, labels: 3 });
      assert.equal(await driver.deleteSession(id), true);
      await query(url, `INSERT INTO ${schema}.session_labels (session_id, name, value) VALUES ($1, 'late', 'label')`, [
        id,
      ]);
      await using next = new PostgresSessionPersistDriver({ connectionString, schema });
      await next.setLabels("t", { a: "b" });
      await next.close();
      assert.deepEqual(await countOf(driver, id), NOTHING);
      const odd = await query(
        url,
        `SELECT attname, atttypid::regtype, n.nspname FROM pg_attribute JOIN pg_type y ON y.oid = atttypid
         JOIN pg_namespace n ON n.oid = typnamespace LEFT JOIN pg_collation l ON l.oid = attcollation
         WHERE attrelid = ANY ($1::regclass[]) AND attnum > 0 AND NOT attisdropped
           AND (n.nspname <> 'pg_catalog' OR l.collnamespace <> 'pg_catalog'::regnamespace)`,
        [["sessions", "events", "session_labels", "deleted_sessions"].map((table) => `${schema}.${table}`)],
      );
      assert.deepEqual(odd, []);
    }
  }
});
