/** Loading into Postgres: what owners have put on their tables, poolers, networks and other writers refuse a session at most, never another. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";

import type { SessionPersistDriver } from "sandbox-agent";

import { type CopyDifference, copySessions, PostgresSessionPersistDriver, type SessionSource } from "../index.js";
import { generated } from "./support/drivers/generated.mts";
import { LAYOUT_0_4, rowsOf, trigger } from "./support/postgres/layouts.mts";
import { PARTITIONED } from "./support/postgres/partitioned.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, largeEventAt } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;

function open(t: TestContext, schema: string, connectionString = url): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString, schema });
  t.after(() => driver.close());
  return driver;
}

/** Opens a schema whose tables are ready, and on which its owner has done this since. */
async function ready(t: TestContext, sql = "", first = ""): Promise<PostgresSessionPersistDriver> {
  const schema = await makeSchema(url, first);
  const driver = open(t, schema);
  await driver.ready();
  if (sql) await query(url, `SET search_path = ${schema}; ${sql}`);
  return driver;
}

const source = generated({ sessions: 4, events: 3 });

/** Copies, and gives the sessions that were left as they are: ids and reasons. */
async function left(from: SessionSource, target: PostgresSessionPersistDriver): Promise<string[]> {
  try {
    await copySessions(from, target);
    return [];
  } catch (error) {
    const { differences } = error as { differences?: CopyDifference[] };
    if (!differences) throw error;
    return differences.map(({ sessionId, reason }) => `${sessionId} ${reason}`);
  }
}

/** These sessions are there as in the source, and of the others nothing is. */
async function hasExactly(target: PostgresSessionPersistDriver, ids: string[], from = source): Promise<void> {
  const { items } = await from.listSessions({ limit: 500 });
  for (const record of items) {
    const isThere = ids.includes(record.id);
    assert.deepEqual(await target.getSession(record.id), isThere ? record : undefined, record.id);
    const events = isThere ? await allEvents(from as SessionPersistDriver, record.id) : [];
    assert.deepEqual(await allEvents(target, record.id), events, record.id);
  }
}

test("a place that somebody takes meanwhile refuses its session, and no other", async (t) => {
  const target = await ready(t);
  const other = eventAt("s0", 6, { id: "of another" });
  // Four fill a step.
  const large = [1, 2, 3, 4, 5, 6].map((index) => largeEventAt("s0", index, 1_100_000));
  const growing: SessionSource = {
    ...source,
    listEvents: async (request) => {
      if (request.sessionId !== "s0") return source.listEvents(request);
      if (request.cursor === undefined) return { items: large.slice(0, 5), nextCursor: "5" };
      while ((await target.listEvents({ sessionId: "s0", limit: 1 })).items.length === 0);
      await target.insertEvent("s0", other);
      return { items: large.slice(5) };
    },
  };
  assert.deepEqual(await left(growing, target), ["s0 otherEvents"]);
  assert.equal(await target.getSession("s0"), undefined);
  assert.deepEqual((await allEvents(target, "s0")).at(-1), other);
  await hasExactly(target, ["s1", "s2", "s3"], {
    ...source,
    listSessions: async () => ({ items: (await source.listSessions({})).items.slice(1) }),
  });
});

test("a session that was deleted lately is refused, and no other", async (t) => {
  const target = await ready(t);
  await target.deleteSession("s1");
  assert.deepEqual(await left(source, target), ["s1 refused"]);
  await hasExactly(target, ["s0", "s2", "s3"]);
});

test("where ids are unique, a session is refused of which another has the id of an event", async (t) => {
  const [{ id }] = (await source.listEvents({ sessionId: "s2" })).items;
  const target = await ready(t, "", `${LAYOUT_0_4} ${rowsOf([[id, 1, "old", 1]])}`);
  assert.deepEqual(await left(source, target), ["s2 refused"]);
  await hasExactly(target, ["s0", "s1", "s3"]);
  assert.equal((await allEvents(target, "old")).length, 1);
});

test("tables of 0.4 take a copy, and again what is new", async (t) => {
  const target = await ready(t, "", LAYOUT_0_4);
  assert.deepEqual(await left(source, target), []);
  await hasExactly(target, ["s0", "s1", "s2", "s3"]);
  const grown = generated({ sessions: 5, events: 5 });
  assert.deepEqual(await copySessions(grown, target), { sessions: 5, events: 13 });
  await hasExactly(target, ["s0", "s1", "s2", "s3", "s4"], grown);
});

for (const [what, sql] of [
  [
    "a trigger ignores",
    trigger("ignores", "BEFORE INSERT ON events", "IF NEW.session_id = 's1' THEN RETURN NULL; END IF; RETURN NEW;"),
  ],
  [
    "a trigger forbids",
    trigger("forbids", "BEFORE INSERT ON events", "IF NEW.session_id = 's1' THEN RAISE 'no'; END IF; RETURN NEW;"),
  ],
  ["a rule ignores", "CREATE RULE ignores AS ON INSERT TO events WHERE NEW.session_id = 's1' DO INSTEAD NOTHING"],
  ["a constraint forbids", "ALTER TABLE events ADD CHECK (session_id <> 's1' OR event_index < 3)"],
] as const) {
  test(`a session whose rows ${what} is refused, and no other`, async (t) => {
    const target = await ready(t, sql);
    assert.deepEqual(await left(source, target), ["s1 refused"]);
    await hasExactly(target, ["s0", "s2", "s3"]);
  });
}

test("a user with the rights of docs/postgres.md loads what row level security lets through", async (t) => {
  const schema = await makeSchema(url);
  await open(t, schema).ready();
  await query(
    url,
    `SET search_path = ${schema}; CREATE ROLE loader LOGIN PASSWORD 'loader';
     GRANT USAGE ON SCHEMA ${schema} TO loader;
     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO loader;
     ALTER TABLE events ENABLE ROW LEVEL SECURITY;
     CREATE POLICY own ON events USING (session_id <> 's1')`,
  );
  const own = new URL(url);
  own.username = own.password = "loader";
  const target = open(t, schema, own.href);
  assert.deepEqual(await left(source, target), ["s1 refused"]);
  await hasExactly(target, ["s0", "s2", "s3"]);
});

test("partitioned tables take a copy", async (t) => {
  const schema = await makeSchema(url);
  await query(url, PARTITIONED(schema));
  const target = open(t, schema);
  assert.deepEqual(await left(source, target), []);
  await hasExactly(target, ["s0", "s1", "s2", "s3"]);
});

for (const lose of ["dropAnswerOnce", "dropRequestOnce"] as const) {
  test(`a commit of which nobody knows is done once: ${lose}`, async (t) => {
    const schema = await makeSchema(url);
    const proxy = await startProxy(server);
    const target = open(t, schema, proxy.urlOf(url));
    t.after(() => proxy.close());
    await target.ready();
    const lost = proxy[lose](/^COMMIT/);
    assert.deepEqual(await copySessions(source, target), { sessions: 4, events: 12 });
    await lost;
    await hasExactly(target, ["s0", "s1", "s2", "s3"]);
  });
}

test("PgBouncer is loaded through", { skip: skipWithoutPgBouncer() }, async (t) => {
  const pgbouncer = await startPgBouncer(server, ["default_pool_size = 2"]);
  t.after(pgbouncer.cleanup);
  const target = open(t, await makeSchema(url), pgbouncer.urlOf(url));
  assert.deepEqual(await left(source, target), []);
  await hasExactly(target, ["s0", "s1", "s2", "s3"]);
});

test("beside writers of the same sessions, and a follower, who gets what is loaded", async (t) => {
  const target = await ready(t);
  const many = generated({ sessions: 40, events: 300 });
  const tail = target.tailEvents({ sessionId: "s39" });
  t.after(() => tail.return!());
  let isOver = false;
  const copying = left(many, target).finally(() => (isOver = true));
  let written = 0;
  while (!isOver) {
    await Promise.all(Array.from({ length: 20 }, () => target.insertEvent("mine", eventAt("mine", (written += 1)))));
  }
  assert.deepEqual(await copying, []);
  assert.equal((await allEvents(target, "mine")).length, written);
  await hasExactly(
    target,
    Array.from({ length: 40 }, (_, session) => `s${session}`),
    many,
  );
  for (let index = 1; index <= 300; index += 1) assert.equal((await tail.next()).value?.eventIndex, index);
});
