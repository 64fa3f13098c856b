/** Tables of our names that are not ours, newer versions of ours, and the schemas and prefixes that keep them apart. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { EVENTS, LAYOUT_0_4, rowsOf, SESSIONS_0_4 } from "./support/postgres/layouts.mts";
import { contentsOf, makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;

const SESSION_ROW = `INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at)
  VALUES ('s', 'mock', 'as', 'c', 1);`;
const withSessions = (columns: string) => `CREATE TABLE sessions (${columns}); CREATE TABLE events (${EVENTS});`;
const withEvents = (columns: string) => `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${columns});`;

for (const [what, table, sql, reason] of [
  [
    "a web application's sessions",
    "sessions",
    `CREATE TABLE sessions (id TEXT PRIMARY KEY, user_id BIGINT NOT NULL, expires TIMESTAMPTZ);
     INSERT INTO sessions VALUES ('s', 1, now())`,
    /no column agent, agent_session_id, last_connection_id, created_at/,
  ],
  [
    "a calendar's events beside sessions like ours",
    "events",
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (id BIGSERIAL PRIMARY KEY, starts TIMESTAMPTZ);
     INSERT INTO events (starts) VALUES (now()); ${SESSION_ROW}`,
    /no column session_id, created_at/,
  ],
  [
    "a table whose columns are named in mixed case",
    "sessions",
    `CREATE TABLE sessions (id TEXT PRIMARY KEY, agent TEXT, "agentSessionId" TEXT, "lastConnectionId" TEXT, "createdAt" BIGINT)`,
    /no column agent_session_id/,
  ],
  ["a table without columns", "events", "CREATE TABLE events ()", /no column id/],
  [
    "sessions that want a value of their own",
    "sessions",
    `${withSessions(`${SESSIONS_0_4}, tenant TEXT NOT NULL, region TEXT NOT NULL`)}`,
    /wants a value for region, tenant/,
  ],
  ["events that want a value of their own", "events", withEvents(`${EVENTS}, tenant INT NOT NULL`), /value for tenant/],
  [
    "times that are timestamps",
    "sessions",
    withSessions(SESSIONS_0_4.replace("created_at BIGINT", "created_at TIMESTAMPTZ")),
    /what is put into created_at/,
  ],
  ["ids that are UUIDs", "sessions", withSessions(SESSIONS_0_4.replace("id TEXT", "id UUID")), /put into id/],
  ["ids that are numbers", "events", withEvents(EVENTS.replace("id TEXT", "id BIGINT")), /put into id/],
  ["ids of a fixed length", "events", withEvents(EVENTS.replace("id TEXT", "id CHAR(36)")), /put into id/],
  ["payloads that are bytes", "events", withEvents(EVENTS.replace("JSONB", "BYTEA")), /put into payload_json/],
  [
    "an index that the server gives out",
    "events",
    withEvents(EVENTS.replace("BIGINT NOT NULL,", "BIGINT GENERATED ALWAYS AS IDENTITY,")),
    /put into event_index/,
  ],
  [
    "a column that the server computes",
    "events",
    withEvents(EVENTS.replace("sender TEXT NOT NULL", "sender TEXT GENERATED ALWAYS AS ('agent') STORED")),
    /put into sender/,
  ],
  ["ids that need not be unique", "sessions", withSessions(SESSIONS_0_4.replace("PRIMARY KEY", "NOT NULL")), /unique/],
  [
    "ids that are unique for some rows only",
    "sessions",
    `${withSessions(SESSIONS_0_4.replace("PRIMARY KEY", "NOT NULL"))}
     CREATE UNIQUE INDEX ON sessions (id) WHERE destroyed_at IS NULL`,
    /unique/,
  ],
  [
    "ids that are checked at the end of a transaction",
    "sessions",
    withSessions(SESSIONS_0_4.replace("PRIMARY KEY", "PRIMARY KEY DEFERRABLE")),
    /unique/,
  ],
  [
    "a view",
    "sessions",
    `CREATE TABLE mine (${SESSIONS_0_4}); CREATE VIEW sessions AS SELECT * FROM mine; CREATE TABLE events (${EVENTS})`,
    /a view/,
  ],
  [
    "a materialized view",
    "events",
    `CREATE TABLE mine (${EVENTS}); CREATE MATERIALIZED VIEW events AS SELECT * FROM mine`,
    /a materialized view/,
  ],
  ["a sequence", "sessions", "CREATE SEQUENCE sessions", /a sequence/],
  ["a type", "events", "CREATE TYPE events AS (id TEXT)", /a type/],
  ["an index", "events", "CREATE TABLE mine (id TEXT); CREATE INDEX events ON mine (id)", /an index/],
  [
    "an application's own version",
    "persist_version",
    "CREATE TABLE persist_version (version TEXT, applied_at TIMESTAMPTZ); INSERT INTO persist_version VALUES ('1', now())",
    /one column, version/,
  ],
  [
    "a version that is not a number",
    "persist_version",
    "CREATE TABLE persist_version (version TEXT); INSERT INTO persist_version VALUES ('v2')",
    /version/,
  ],
] as const) {
  test(`${what}: refused by name and reason, and not touched; a prefix gets around it`, async () => {
    const schema = await makeSchema(url, sql);
    const before = await contentsOf(url, schema);
    for (const migrate of [true, false]) {
      await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema, migrate });
      for (const call of [
        () => driver.ready(),
        () => driver.insertEvent("s", eventAt("s", 1)),
        () => driver.listSessions(),
      ]) {
        await assert.rejects(call(), (error: any) => {
          assert.equal(error.code, "ERR_PERSIST_FOREIGN_TABLE", error.message);
          assert.ok(error.message.includes(`"${table}"`), error.message);
          assert.match(error.message, reason);
          assert.match(error.message, /tablePrefix/);
          return true;
        });
      }
      assert.deepEqual(await contentsOf(url, schema), before);
    }

    await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema, tablePrefix: "agent_" });
    await driver.updateSession(sessionOf("s"));
    await driver.insertEvent("s", eventAt("s", 1));
    assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
  });
}

test("tables of a newer release are refused, and not touched", async () => {
  const schema = await makeSchema(url);
  {
    await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema });
    await driver.insertEvent("s", eventAt("s", 1));
  }
  await query(
    url,
    `UPDATE ${schema}.persist_version SET version = 2; ALTER TABLE ${schema}.events DROP COLUMN extra_json`,
  );
  const before = await contentsOf(url, schema);
  for (const migrate of [true, false]) {
    await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema, migrate });
    const refusal = { code: "ERR_PERSIST_SCHEMA", message: /version 2.*newer release/ };
    await assert.rejects(driver.ready(), refusal);
    await assert.rejects(driver.insertEvent("s", eventAt("s", 2)), refusal);
    await assert.rejects(driver.listEvents({ sessionId: "s" }), refusal);
  }
  assert.deepEqual(await contentsOf(url, schema), before);
});

test("tables of this version are not touched by being opened, and work without their version table's row", async () => {
  const schema = await makeSchema(url);
  {
    await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema });
    await driver.insertEvent("s", eventAt("s", 1));
  }
  assert.deepEqual(await query(url, `SELECT version FROM ${schema}.persist_version`), [{ version: "1" }]);
  const before = await contentsOf(url, schema);
  for (const migrate of [true, false]) {
    await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema, migrate });
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
  }
  assert.deepEqual(await contentsOf(url, schema), before);
  await query(url, `DELETE FROM ${schema}.persist_version`);
  await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema });
  await driver.insertEvent("s", eventAt("s", 2));
});

test("with `migrate: false` what is missing is listed, and nothing is changed", async () => {
  const missing = new PostgresSessionPersistDriver({ connectionString: url, schema: "not there", migrate: false });
  await assert.rejects(missing.ready(), {
    code: "ERR_PERSIST_SCHEMA",
    message: /create the schema; create the table of sessions; create the table of events.*options\.migrate/,
  });
  await missing.close();
  assert.deepEqual(await query(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'not there'"), []);

  const schema = await makeSchema(url, LAYOUT_0_4 + rowsOf([["a", 1, "s", 1], ["b", 1, "s", 2]])); // prettier-ignore
  const before = await contentsOf(url, schema);
  await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema, migrate: false });
  for (const call of [
    () => driver.ready(),
    () => driver.insertEvent("s", eventAt("s", 9)),
    () => driver.listSessions(),
  ]) {
    await assert.rejects(call(), (error: any) => {
      assert.equal(error.code, "ERR_PERSIST_SCHEMA");
      for (const step of [
        "add column extra_json to sessions",
        "change column modes_json of sessions from jsonb to json",
        "add column extra_json to events",
        "change column payload_json of events from jsonb to json",
        "renumber sessions with missing or duplicate event indexes",
        "add a unique index on the events' (session_id, event_index)",
        "add an index on the sessions' (created_at, id",
      ]) {
        assert.ok(error.message.includes(step), `${step}: ${error.message}`);
      }
      return true;
    });
  }
  assert.deepEqual(await contentsOf(url, schema), before);
  // Somebody with `migrate: true` makes them ready, and the next call of the same driver works.
  {
    await using owner = new PostgresSessionPersistDriver({ connectionString: url, schema });
    await owner.ready();
  }
  await driver.insertEvent("s", eventAt("s", 3));
  assert.equal((await allEvents(driver, "s")).length, 3);
});

for (const schema of [
  `My "Schema"`,
  "schéma-日本語 🗄",
  "x".repeat(63),
  "é".repeat(31),
  "select",
  "a.b",
  " ",
  "$1",
  "back\\slash",
  "it's",
  "MixedCase",
  "%s {}",
]) {
  test(`a schema may be called ${JSON.stringify(schema)}`, async () => {
    for (const text of ["created", "found"]) {
      await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema, tablePrefix: "My_" });
      await driver.insertEvent(text, eventAt(text, 1));
      assert.deepEqual(await allEvents(driver, text), [eventAt(text, 1)]);
      // Under the session's lock too.
      const late = eventAt(text, 1, { id: "late" });
      await driver.insertEvent(text, late);
      assert.equal(late.eventIndex, 2);
    }
    const tables = await query(
      url,
      `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE nspname = $1 AND relkind = 'r' ORDER BY 1`,
      [schema],
    );
    assert.deepEqual(
      tables.map(({ relname }) => relname),
      ["My_deleted_sessions", "My_events", "My_persist_version", "My_session_labels", "My_sessions"],
    );
  });
}

test("a schema whose name is too long, empty or cannot be written is refused when the driver is made", () => {
  for (const schema of ["", "x".repeat(64), "é".repeat(32), "a\0b"]) {
    assert.throws(() => new PostgresSessionPersistDriver({ connectionString: url, schema }), {
      code: "ERR_PERSIST_INVALID_ARGUMENT",
      message: /options\.schema/,
    });
  }
});

test("two schemas, and two prefixes in one, hold sessions of their own", async () => {
  const [left, right] = [await makeSchema(url), await makeSchema(url)];
  const places = [
    { schema: left, tablePrefix: "" },
    { schema: left, tablePrefix: "p".repeat(40) },
    { schema: left, tablePrefix: "p".repeat(39) },
    { schema: left, tablePrefix: "P".repeat(40) },
    { schema: left, tablePrefix: "_" },
    { schema: right, tablePrefix: "" },
  ];
  const drivers = places.map((place) => new PostgresSessionPersistDriver({ connectionString: url, ...place }));
  try {
    await Promise.all(
      drivers.map(async (driver, at) => {
        await driver.insertEvent("s", eventAt("s", 1, { id: `${at}` }));
        // The same place, in tables of its own: no conflict.
        await driver.updateSession(sessionOf("s", { agent: `agent ${at}` }));
      }),
    );
    for (const [at, driver] of drivers.entries()) {
      assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1, { id: `${at}` })]);
      assert.deepEqual((await driver.listSessions()).items, [sessionOf("s", { agent: `agent ${at}` })]);
    }
  } finally {
    await Promise.all(drivers.map((driver) => driver.close()));
  }
});
