/** Pruning on Postgres: killed and stopped in the middle, rules of the owner, missing rights, and a lost answer to `COMMIT`. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { countOf, fill, NOTHING } from "./support/deletion.mts";
import { LAYOUT_0_4, rowsOf, trigger } from "./support/postgres/layouts.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { disturbedPruning } from "./suites/prune.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;

async function open(t: TestContext, sql = "") {
  const schema = await makeSchema(url, sql);
  return { ...reopen(t, schema), schema };
}

function reopen(t: TestContext, schema: string, options = {}) {
  const all = { connectionString: url, schema, ...options };
  const driver = new PostgresSessionPersistDriver(all);
  t.after(() => driver.close());
  return { driver, options: all };
}

disturbedPruning("Postgres", async (t) => {
  const { driver, schema } = await open(t);
  return {
    driver,
    storage: { driver: "Postgres", options: { connectionString: url, schema } },
    sql: async (text) => void (await query(url, `SET search_path = ${schema}; ${text}`)),
  };
});

/** All sessions that `fill` makes. */
const ALL = { labels: { user: "u1" } };

for (const [what, sql, message] of [
  [
    "a foreign key on the session",
    "CREATE TABLE theirs (s text REFERENCES sessions); INSERT INTO theirs VALUES ('s')",
    /a rule of a table's owner forbids it/,
  ],
  [
    "a trigger that raises",
    trigger("forbids", "BEFORE DELETE ON events", "RAISE EXCEPTION 'no';"),
    /a rule of a table's owner forbids it/,
  ],
  [
    "a trigger that keeps events",
    trigger("keeps", "BEFORE DELETE ON events", "RETURN NULL;"),
    /a trigger or rule of the owner of events kept its rows/,
  ],
  [
    "a trigger that keeps the record",
    trigger("keeps", "BEFORE DELETE ON sessions", "RETURN NULL;"),
    /a trigger or rule of the owner of sessions kept its rows/,
  ],
] as const) {
  test(`where ${what} of the owner forbids it, the session stays as it was`, async (t) => {
    const { driver, schema } = await open(t);
    await fill(driver, "s", 3);
    await query(url, `SET search_path = ${schema}; ${sql}`);
    await assert.rejects(driver.pruneSessions(ALL), { code: "ERR_PERSIST_INVALID_ARGUMENT", message });
    assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 3, labels: 1 });
    assert.equal((await driver.pruneSessions({ ...ALL, dryRun: true })).events, 3);
  });
}

test("the owner's rows that hang on a session go with it", async (t) => {
  const { driver, schema } = await open(t);
  await fill(driver, "s", 3);
  await query(
    url,
    `SET search_path = ${schema}; CREATE TABLE theirs (s text REFERENCES sessions ON DELETE CASCADE);
     INSERT INTO theirs VALUES ('s')`,
  );
  await driver.pruneSessions(ALL);
  assert.deepEqual(await query(url, `SELECT * FROM ${schema}.theirs`), []);
});

test("adopted tables are pruned, and vacuumed", async (t) => {
  const rows = Array.from({ length: 1_000 }, (_, at) => [`e${at}`, at, "old", 5] as [string, number, string, number]);
  const { driver } = await open(
    t,
    `${LAYOUT_0_4} INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at)
       VALUES ('old', 'a', 'b', 'c', 5), ('new', 'a', 'b', 'c', 50); ${rowsOf(rows)}`,
  );
  const request = { idleBefore: 10 };
  const counted = await driver.pruneSessions({ ...request, dryRun: true });
  assert.deepEqual({ ...counted, bytes: 0 }, { sessions: 1, events: 1_000, bytes: 0 });
  assert.deepEqual(await driver.pruneSessions(request), counted);
  assert.deepEqual((await driver.listSessions({})).items.map(({ id }) => id), ["new"]); // prettier-ignore
  const { bytes } = await driver.vacuum();
  assert.ok(bytes > 50_000, String(bytes));
});

test("who may not delete, or vacuum, is told so; to count takes neither right", async (t) => {
  const { driver, schema } = await open(t);
  await fill(driver, "s", 3);
  await query(
    url,
    `CREATE ROLE reader_${schema} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA ${schema} TO reader_${schema};
     GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ${schema} TO reader_${schema}`,
  );
  const role = new URL(url);
  [role.username, role.password] = [`reader_${schema}`, "x"];
  const reader = reopen(t, schema, { connectionString: role.href }).driver;
  assert.equal((await reader.pruneSessions({ ...ALL, dryRun: true })).events, 3);
  await assert.rejects(reader.pruneSessions(ALL), {
    code: "ERR_PERSIST_UNAVAILABLE",
    message: /grant DELETE on the tables/,
  });
  assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 3, labels: 1 });
  await assert.rejects(reader.vacuum(), {
    code: "ERR_PERSIST_UNAVAILABLE",
    message: /this user may not vacuum .*grant MAINTAIN/,
  });
  await query(url, `GRANT MAINTAIN ON ALL TABLES IN SCHEMA ${schema} TO reader_${schema}`);
  await reader.vacuum();
});

test("an event that another connection is writing stays, with the session's next index", async (t) => {
  const { driver, schema } = await open(t);
  await fill(driver, "s", 3);
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run(
    `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     VALUES ('late', 4, 's', 1, 'c', 'agent', '{}')`,
  );
  assert.equal((await driver.pruneSessions(ALL)).events, 3);
  await other.run("COMMIT");
  assert.deepEqual((await allEvents(driver, "s")).map(({ id }) => id), ["late"]); // prettier-ignore
});

test("an event that another connection is deleting is not counted, and nothing is in the way", async (t) => {
  const { driver, schema } = await open(t);
  await fill(driver, "s", 5);
  const other = await otherConnection(t, url);
  await other.run(`BEGIN; DELETE FROM ${schema}.events WHERE event_index = 2`);
  const pruned = driver.pruneSessions(ALL);
  await other.isInTheWayOf(1);
  await other.run("COMMIT");
  assert.deepEqual({ ...(await pruned), bytes: 0 }, { sessions: 1, events: 4, bytes: 0 });
  assert.deepEqual(await countOf(driver, "s"), NOTHING);
});

test("a session that another one has taken the place of in that moment keeps all that it has", async (t) => {
  const { driver, schema } = await open(t);
  await fill(driver, "s", 20);
  const other = await otherConnection(t, url);
  await other.run(
    `BEGIN; DELETE FROM ${schema}.events;
     INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     VALUES ('a', 1, 's', 1, 'c', 'agent', '{}'), ('b', 2, 's', 1, 'c', 'agent', '{}')`,
  );
  const pruned = driver.pruneSessions({ ...ALL, keepLastEvents: 5 });
  await other.isInTheWayOf(1);
  await other.run("COMMIT");
  assert.deepEqual(await pruned, { sessions: 0, events: 0, bytes: 0 });
  assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 2, labels: 1 });
});

test("where the server has little time for a statement, steps become small enough", async (t) => {
  const { driver, schema } = await open(t);
  for (const session of ["pruned", "compacted"]) await fill(driver, session, 200);
  await driver.setLabels("compacted", { user: null });
  await driver.updateSession(sessionOf("compacted", { destroyedAt: 1 }));
  await query(
    url,
    `SET search_path = ${schema}; ${trigger("slow", "BEFORE DELETE ON events", "PERFORM pg_sleep(0.005); RETURN old;")}
     CREATE ROLE hurried LOGIN SUPERUSER PASSWORD 'x'; ALTER ROLE hurried SET statement_timeout = 400`,
  );
  const role = Object.assign(new URL(url), { username: "hurried", password: "x" });
  const hurried = reopen(t, schema, { connectionString: role.href }).driver;
  const [pruned, compacted] = await Promise.all([hurried.pruneSessions(ALL), hurried.compactSession("compacted")]);
  assert.deepEqual([pruned.events, compacted.removed], [200, 199]);
});

test("closing ends a vacuum that waits for somebody's lock", async (t) => {
  const { driver, schema } = await open(t);
  await driver.ready();
  const other = await otherConnection(t, url);
  await other.run(`BEGIN; ANALYZE ${schema}.events`);
  const refused = assert.rejects(driver.vacuum(), { code: "ERR_PERSIST_CLOSED" });
  await other.isInTheWayOf(1);
  await driver.close();
  await refused;
  // The server has given it up as well.
  while ((await other.run("SELECT 1 FROM pg_locks WHERE NOT granted")).length > 0);
});

test("a record that another connection is writing is waited for, and spared if it no longer meets the conditions", async (t) => {
  const { driver, schema } = await open(t);
  await fill(driver, "s", 3);
  await query(url, `UPDATE ${schema}.sessions SET destroyed_at = 1`);
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run(`UPDATE ${schema}.sessions SET destroyed_at = NULL`);
  const pruned = driver.pruneSessions({ destroyedBefore: 10 });
  // Others are not held up.
  await driver.insertEvent("b", eventAt("b", 1));
  await other.run("COMMIT");
  assert.deepEqual(await pruned, { sessions: 0, events: 0, bytes: 0 });
  assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 3, labels: 1 });
});

for (const [what, lose] of [
  ["answer", "dropAnswerOnce"],
  ["request", "dropRequestOnce"],
] as const) {
  test(`when the ${what} to a COMMIT is lost, what was removed is counted once`, async (t) => {
    const proxy = await startProxy(server);
    t.after(() => proxy.close());
    const { driver, schema } = await open(t);
    for (const session of ["a", "b"]) await fill(driver, session, 3);
    const far = reopen(t, schema, { connectionString: proxy.urlOf(url), queryTimeoutMs: 2_000 }).driver;
    await far.ready();
    const lost = proxy[lose](/^COMMIT/, "cut");
    const pruned = far.pruneSessions(ALL);
    await lost;
    assert.deepEqual({ ...(await pruned), bytes: 0 }, { sessions: 2, events: 6, bytes: 0 });
    for (const session of ["a", "b"]) assert.deepEqual(await countOf(driver, session), NOTHING);
  });
}
