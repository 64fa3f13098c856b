/** `migrate`: makes tables ready whatever they were, and says beforehand how, in SQL that does the same. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { objects, run } from "../../support/command-line.mts";
import * as postgres from "../../support/postgres/layouts.mts";
import { contentsOf } from "../../support/postgres/schema.mts";
import { query } from "../../support/postgres/server.mts";
import * as sqlite from "../../support/sqlite/layouts.mts";
import { openPersist, openReader } from "../../support/storage.mts";
import type { NewStore, TestStore } from "./store.mts";

/** Events at index 1 twice, and one without a neighbour: a session to renumber, and one to leave as it is. */
const ROWS = postgres.rowsOf([["a", 1, "s", 1], ["b", 1, "s", 2], ["c", 1, "t", 3]]); // prettier-ignore

/** What stores may look like: SQL for SQLite, and for Postgres. */
const LAYOUTS: [name: string, sqlite: string, postgres: string][] = [
  ["a store that is not there yet", "", "DROP SCHEMA SCHEMA"],
  ["a store without tables", "PRAGMA user_version = 0", ""],
  [
    "tables of 0.2",
    `CREATE TABLE sessions (${sqlite.SESSIONS_0_2}); CREATE TABLE events (${sqlite.EVENTS_OLDER});
     INSERT INTO events VALUES (7, 's', 1, 'c', 'agent', '{}'), (9, 's', 2, 'c', 'agent', '{}');
     CREATE VIEW newest AS SELECT max(id) AS id FROM events -- of all sessions
    `,
    `${postgres.LAYOUT_0_2} ${ROWS} ${postgres.trigger("refuse", "BEFORE UPDATE ON events", "RAISE 'no';")}`,
  ],
  [
    "tables of 0.4",
    `CREATE TABLE sessions (${sqlite.SESSIONS_0_4}); CREATE TABLE events (${sqlite.EVENTS_TEXT}); ${sqlite.ORDER_INDEX}; ${ROWS}
     INSERT INTO sessions VALUES ('s', 'a', 'b', 'c', 1.5, NULL, NULL, NULL, NULL, NULL)`,
    `${postgres.LAYOUT_0_4} ${ROWS}`,
  ],
];

/** Runs SQL as the owner of the store, who has nothing but a name for its schema. */
async function asOwner({ storage }: TestStore, sql: string): Promise<void> {
  if (storage.driver === "SQLite") {
    if (sql) sqlite.asOwner(storage.options.filename, (database) => database.exec(sql));
  } else {
    const { connectionString, schema } = storage.options;
    await query(connectionString, `SET search_path = ${schema}; ${sql.replace("SCHEMA SCHEMA", `SCHEMA ${schema}`)}`);
  }
}

/** The tables, indexes and rows of a store, in words in which two stores are the same that were made alike. */
async function shapeOf({ storage }: TestStore): Promise<unknown> {
  if (storage.driver === "SQLite") {
    return sqlite.asOwner(storage.options.filename, (database) => [
      database.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").all(),
      database.prepare("SELECT * FROM events ORDER BY id").all(),
      ["user_version", "journal_mode", "auto_vacuum"].map((name) => database.pragma(name)),
    ]);
  }
  const { connectionString, schema } = storage.options;
  const rows = await query(
    connectionString,
    `SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_indexdef(i.indexrelid) AS index
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 LEFT JOIN pg_index i ON i.indexrelid = c.oid
     WHERE relnamespace = $1::regnamespace ORDER BY c.relname, attnum`,
    [schema],
  );
  const events = await query(connectionString, `SELECT * FROM ${schema}.events ORDER BY id`);
  return [JSON.parse(JSON.stringify(rows).replaceAll(`${schema}.`, "")), events];
}

/** All of it to the byte, as far as another program can tell. */
async function contents({ storage }: TestStore): Promise<unknown> {
  if (storage.driver === "Postgres") return contentsOf(storage.options.connectionString, storage.options.schema);
  return sqlite.asOwner(storage.options.filename, (database) => database.serialize().toString("base64"));
}

interface Planned {
  step: string;
  sql: string[];
  table: string | null;
  work: "define" | "index" | "rewrite";
  rows?: number;
  others: "read-and-write" | "read" | "wait";
}

async function plan({ store }: TestStore): Promise<Planned[]> {
  const planned = await run(["migrate", "--plan", "--json", "--store", store]);
  assert.deepEqual([planned.code, planned.stderr], [0, ""]);
  return objects<Planned>(planned);
}

export function migrate(newStore: NewStore): void {
  const made = async (t: TestContext, sqlite: string, postgres: string) => {
    const store = await newStore(t);
    await asOwner(store, store.storage.driver === "SQLite" ? sqlite : postgres);
    return store;
  };

  for (const [name, sqlite, postgres] of LAYOUTS) {
    test(`migrate: ${name} are made ready alike by \`migrate\` and by the SQL that it prints`, async (t) => {
      const [migrated, byHand] = [await made(t, sqlite, postgres), await made(t, sqlite, postgres)];
      const steps = (await plan(migrated)).map(({ step }) => step);
      const done = await run(["migrate", "--yes", "--json", "--store", migrated.store]);
      assert.deepEqual([done.code, done.stderr, objects(done)], [0, "", [{ steps }]]);

      const printed = await run(["migrate", "--plan", "--sql", "--role", "CURRENT", "--store", byHand.store]);
      // The role is only there in the test of its rights.
      await asOwner(byHand, printed.stdout.replaceAll(/^GRANT.*;$/gm, ""));
      assert.deepEqual(await shapeOf(byHand), await shapeOf(migrated));

      const again = await run(["migrate", "--store", migrated.store]);
      assert.match(again.stdout, /^the tables of .+ are ready\n$/);
      assert.deepEqual(await plan(byHand), []);
      const driver = openReader(byHand.storage);
      t.after(() => driver.close());
      await driver.ready();
    });
  }

  test("migrate: --plan says which rows are rewritten and who waits, and changes nothing", async (t) => {
    const [, , , [, sqlite, postgres]] = LAYOUTS as [unknown, unknown, unknown, [string, string, string]];
    const store = await made(t, sqlite, postgres);
    const before = await contents(store);
    const work = (await plan(store)).map(({ table, work, rows, others }) => [table, work, rows, others].join(" "));
    const isSqlite = store.storage.driver === "SQLite";
    for (const expected of isSqlite
      ? ["events rewrite 2 read", "events index 3 read", "sessions rewrite 1 read", "sessions index 1 read"]
      : ["events rewrite 2 wait", "events rewrite 3 wait", "events index 3 read", "sessions define  wait"]) {
      assert.ok(work.includes(expected), `${expected} in ${work.join(", ")}`);
    }
    const text = await run(["migrate", "--plan", "--store", store.store]);
    assert.match(
      text.stdout,
      /\d+\. renumber sessions .*\n +table events: rewrites 2 rows; others .*\n +(UPDATE|LOCK) /,
    );
    const refused = await run(["migrate", "--store", store.store]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /^error: This makes the tables of .* ready: .*renumber sessions.* add --yes to agree/);
    assert.deepEqual(await contents(store), before);
  });

  test("migrate: tables of somebody else, and of a newer release, are left as they are", async (t) => {
    const foreign = await made(t, ...repeated("CREATE TABLE sessions (id TEXT PRIMARY KEY, user_name TEXT)"));
    const newer = await newStore(t);
    const driver = openPersist(newer.storage);
    await driver.ready();
    await driver.close();
    await asOwner(
      newer,
      newer.storage.driver === "SQLite" ? "PRAGMA user_version = 99" : "UPDATE persist_version SET version = 99",
    );
    for (const [store, message] of [
      [foreign, /^error: .* has a table "sessions" that does not hold sandbox-agent sessions: it has no column agent/],
      [newer, /^error: the tables of .* have version 99 .*: use a newer release of sandbox-agent-persist\n$/],
    ] as const) {
      const before = await contents(store);
      for (const flags of [["--plan"], ["--plan", "--sql"], ["--yes"]]) {
        const refused = await run(["migrate", ...flags, "--store", store.store]);
        assert.deepEqual([refused.code, refused.stdout], [1, ""]);
        assert.match(refused.stderr, message);
      }
      assert.deepEqual(await contents(store), before);
    }
  });
}

const repeated = (sql: string): [string, string] => [sql, sql];
