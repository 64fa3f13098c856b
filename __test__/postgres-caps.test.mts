/** Caps of Postgres drivers: on one schema with others, on adopted tables, and where rights or rules keep what is over. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { caps, indexesOf, store } from "./suites/caps.mts";
import { range } from "./suites/contract/records.mts";
import { listen } from "./support/notices.mts";
import { EVENTS, LAYOUT_0_4, ORDER_INDEX, SESSIONS_0_4, trigger } from "./support/postgres/layouts.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;
const open = (schema: string, options = {}) =>
  new PostgresSessionPersistDriver({ connectionString: url, schema, ...options });

let schemas = 0;

caps("Postgres", () => ({
  driver: "Postgres",
  options: { connectionString: url, schema: `capped_${(schemas += 1)}` },
}));

for (const [what, body] of [
  ["forbids it", "IF old.session_id = 'kept' THEN RAISE 'never'; END IF; RETURN old;"],
  ["ignores it", "IF old.session_id = 'kept' THEN RETURN NULL; END IF; RETURN old;"],
]) {
  test(`where a trigger of the owner ${what}, writes go on, and other sessions keep to the cap`, async () => {
    const schema = await makeSchema(url);
    {
      await using driver = open(schema);
      await driver.ready();
    }
    await query(url, `SET search_path = ${schema}; ${trigger("keep", "BEFORE DELETE ON events", body)}`);
    {
      await using driver = open(schema, { maxEventsPerSession: 20 });
      for (const index of range(1, 61)) {
        await Promise.all(["kept", "s"].map((session) => store(driver, session, [index])));
      }
    }
    await using reader = open(schema);
    assert.deepEqual(await indexesOf(reader, "kept"), range(1, 61));
    assert.deepEqual(await indexesOf(reader, "s"), range(41, 61));
    await query(url, `DROP TRIGGER keep ON ${schema}.events`);
    {
      await using driver = open(schema, { maxEventsPerSession: 20 });
      await driver.insertEvent("kept", eventAt("kept", 61));
    }
    assert.deepEqual(await indexesOf(reader, "kept"), range(42, 62));
  });
}

test("a user without the right to delete writes on, nothing goes, and that is told", async (t) => {
  const schema = await makeSchema(url);
  await using owner = open(schema);
  await owner.ready();
  await query(
    url,
    `CREATE ROLE capped LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA ${schema} TO capped;
     GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ${schema} TO capped`,
  );
  const roleUrl = Object.assign(new URL(url), { username: "capped", password: "secret" }).href;
  const warnings = listen(t, "warning");
  {
    await using driver = open(schema, { connectionString: roleUrl, maxEventsPerSession: 5, maxSessions: 1 });
    await store(driver, "s", range(1, 41));
    for (const id of ["s", "t"]) await driver.updateSession(sessionOf(id));
    for (const index of range(41, 51)) await driver.insertEvent("s", eventAt("s", index));
    await warnings.until("warning");
    const told = warnings
      .of("warning")
      .map(({ code, message }) => [code, message.includes("grant DELETE on the tables")]);
    assert.deepEqual(told, [["cap-not-kept", true]]);
  }
  assert.deepEqual(await indexesOf(owner, "s"), range(1, 51));
  assert.equal((await owner.listSessions()).items.length, 2);
});

test("a session that something of the owner's refers to stays, and the others go", async () => {
  const schema = await makeSchema(
    url,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS}); ${ORDER_INDEX};
     CREATE TABLE orders (session_id TEXT NOT NULL REFERENCES sessions (id))`,
  );
  await using reader = open(schema);
  await reader.updateSession(sessionOf("kept", { createdAt: 1 }));
  await store(reader, "kept", [1, 2]);
  await query(url, `INSERT INTO ${schema}.orders VALUES ('kept')`);
  {
    await using driver = open(schema, { maxSessions: 2 });
    for (const createdAt of range(2, 6)) await driver.updateSession(sessionOf(`s-${createdAt}`, { createdAt }));
  }
  const { items } = await reader.listSessions();
  assert.deepEqual(items.map(({ id }) => id), ["kept", "s-4", "s-5"]); // prettier-ignore
});

test("adopted tables keep to the caps, with what their owner has stored in them", async () => {
  const schema = await makeSchema(
    url,
    `${LAYOUT_0_4} INSERT INTO events SELECT 'old-' || n, n, 's', n, 'c', 'agent', '{}' FROM generate_series(1, 100) AS n`,
  );
  {
    await using driver = open(schema, { maxEventsPerSession: 30 });
    await store(driver, "s", range(101, 111));
  }
  await using reader = open(schema);
  assert.deepEqual(await indexesOf(reader, "s"), range(81, 111));
});

test("what another program removes at that moment keeps nobody from removing the rest", async (t) => {
  const schema = await makeSchema(url);
  await using driver = open(schema, { maxEventsPerSession: 20 });
  await store(driver, "s", range(1, 21));
  const other = await otherConnection(t, url);
  await other.run(`BEGIN; DELETE FROM ${schema}.events WHERE event_index <= 11`);
  await store(driver, "s", range(21, 32));
  await other.isInTheWayOf(1);
  await other.run("COMMIT");
  await store(driver, "s", range(32, 101));
  await driver.close();
  await using reader = open(schema);
  assert.deepEqual(await indexesOf(reader, "s"), range(81, 101));
});

test("rows that others hold locked are left until they are free, and keep nobody waiting", async (t) => {
  const schema = await makeSchema(url);
  await using driver = open(schema, { maxEventsPerSession: 20 });
  await store(driver, "locked", range(1, 21));
  const other = await otherConnection(t, url);
  await other.run(`BEGIN; SELECT 1 FROM ${schema}.events WHERE session_id = 'locked' AND event_index = 3 FOR UPDATE`);
  await Promise.all(["locked", "s"].map((session) => store(driver, session, range(21, 61))));
  while ((await indexesOf(driver, "s")).length > 20);
  assert.deepEqual(await indexesOf(driver, "locked"), range(1, 61));
  await other.run("ROLLBACK");
  while ((await indexesOf(driver, "locked")).length > 20);
  assert.deepEqual(await indexesOf(driver, "locked"), range(41, 61));
});
