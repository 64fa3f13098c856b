/** Connections, servers, poolers and clients that end under load: what was acknowledged is stored, once, and in order. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver } from "../index.js";
import { type Load, startLoad } from "./support/postgres/load.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

const ROUNDS = 10;

function open(t: TestContext, connectionString: string, options = {}): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString, ...options });
  t.after(() => driver.close());
  return driver;
}

/** Ends every connection of the database but our own, and says how many there were. */
async function terminateAll(url: string): Promise<number> {
  const rows = await query(
    url,
    `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
  );
  return rows.length;
}

test("connections that were ended while they were idle are replaced unnoticed", async (t) => {
  const url = await server.createDatabase();
  const driver = open(t, url);
  await driver.insertEvent("s", eventAt("s", 1));
  await driver.updateSession(sessionOf("s"));
  for (let round = 1; round <= 5; round += 1) {
    assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
    // One that writes and one that reads.
    assert.ok((await terminateAll(url)) >= 2);
    const events = [round * 2, round * 2 + 1].map((index) => eventAt("s", index));
    await Promise.all([
      ...events.map((event) => driver.insertEvent("s", event)),
      driver.listSessions(),
      driver.getSession("s"),
    ]);
  }
  const stored = await allEvents(driver, "s");
  assert.deepEqual(
    stored,
    stored.map((_, position) => eventAt("s", position + 1)),
  );
  assert.equal(stored.length, 11);
});

test("connections that are ended in the middle of a statement: each write is stored once, and reads are answered", async (t) => {
  const url = await server.createDatabase();
  const driver = open(t, url);
  await driver.updateSession(sessionOf("s"));
  await driver.insertEvent("s", eventAt("s", 1));
  // What waits for a lock is certainly under way.
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run("LOCK TABLE events, sessions");
  const events = Array.from({ length: 50 }, (_, number) => eventAt("s", number + 2));
  const writes = events.map((event) => driver.insertEvent("s", event));
  const record = driver.updateSession(sessionOf("s", { agent: "other" }));
  const reads = [driver.getSession("s"), driver.listEvents({ sessionId: "s" }), driver.listSessions()];
  for (let round = 0; round < 3; round += 1) {
    await other.isInTheWayOf(4);
    assert.ok((await other.endThoseWhoWait()) >= 4);
  }
  await other.run("COMMIT");
  await Promise.all([...writes, record, ...reads]);
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), ...events]);
  assert.deepEqual(await driver.getSession("s"), sessionOf("s", { agent: "other" }));
});

test("every connection is ended again and again while 8 sessions write flat out", async (t) => {
  const url = await server.createDatabase();
  const load = await startLoad(t, { connectionString: url });
  // A driver that connects anew has none for a moment: then once more.
  for (let round = 0; round < 20;) {
    await load.progress(randomInt(1, 20));
    if ((await terminateAll(url)) > 0) round += 1;
  }
  await load.progress();
  await load.stop();
  await load.check(url);
});

test("the network is cut again and again while 8 sessions write flat out", async (t) => {
  const url = await server.createDatabase();
  const proxy = await startProxy(server);
  t.after(() => proxy.close());
  const load = await startLoad(t, { connectionString: proxy.urlOf(url) });
  await load.progress();
  for (let round = 0; round < 60; round += 1) {
    // Now and then it is cut after the server has committed, before the answer comes through.
    await proxy.cutAfter(randomInt(1, 20_000), round % 2 ? "client" : "server");
  }
  await load.progress();
  await load.stop();
  await load.check(url);
});

/** Whatever a test leaves of the server, the next one finds it running. */
function bringBack(t: TestContext): void {
  t.after(() => server.start().catch(() => {}));
}

for (const [how, stop] of [
  ["stopped", () => server.stop("fast")],
  ["crashed", () => server.kill("SIGQUIT")],
  ["killed", () => server.kill("SIGKILL")],
] as const) {
  test(`a server that is ${how} and started again under load loses nothing that was acknowledged, and no call`, async (t) => {
    bringBack(t);
    const url = await server.createDatabase();
    const load = await startLoad(t, { connectionString: url });
    for (let round = 0; round < 3; round += 1) {
      await load.progress(randomInt(1, 50));
      await stop();
      await server.start();
      const { events } = load.written.get("session-0")!;
      const [{ stored }] = await query(
        url,
        "SELECT count(*)::int AS stored FROM events WHERE session_id = 'session-0'",
      );
      assert.ok(stored >= events, `${stored} are stored of ${events}`);
    }
    await load.progress();
    await load.stop();
    await load.check(url);
  });
}

test("calls that are made before the server runs wait for it", async (t) => {
  bringBack(t);
  const url = await server.createDatabase();
  await server.stop("fast");
  const driver = open(t, url);
  const calls = [
    driver.ready(),
    driver.insertEvent("s", eventAt("s", 1)),
    driver.updateSession(sessionOf("s")),
    driver.insertEvent("s", eventAt("s", 2)),
    driver.insertEvent("other", eventAt("other", 1)),
  ];
  const reads = [driver.getSession("unknown"), driver.listEvents({ sessionId: "unknown" })];
  // By then the driver has certainly tried.
  const early = open(t, url, { queryTimeoutMs: 200 });
  await assert.rejects(early.ready(), { code: "ERR_PERSIST_UNAVAILABLE" });
  await server.start();
  await Promise.all(calls);
  assert.deepEqual(await Promise.all(reads), [undefined, { items: [] }]);
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), eventAt("s", 2)]);
  assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
});

test("with a server that is down for longer than queryTimeoutMs every call rejects with ERR_PERSIST_UNAVAILABLE, and later ones work", async (t) => {
  bringBack(t);
  const url = await server.createDatabase();
  const used = open(t, url, { queryTimeoutMs: 1_500 });
  await used.insertEvent("s", eventAt("s", 1));
  await used.getSession("s");
  await server.stop("fast");
  const unused = open(t, url, { queryTimeoutMs: 1_500 });
  const unavailable = {
    name: "Error",
    code: "ERR_PERSIST_UNAVAILABLE",
    message: new RegExp(`${server.host}:${server.port}`),
  };
  const calls = [
    unused.ready(),
    ...[unused, used].flatMap((driver) => [
      driver.insertEvent("s", eventAt("s", 2)),
      driver.updateSession(sessionOf("s")),
      driver.getSession("s"),
      driver.listEvents({ sessionId: "s" }),
      driver.listSessions(),
    ]),
  ];
  await Promise.all(calls.map((call) => assert.rejects(call, unavailable)));
  await server.start();
  await Promise.all([unused.ready(), used.ready()]);
  await unused.insertEvent("s", eventAt("s", 2));
  await used.insertEvent("s", eventAt("s", 3));
  const three = [1, 2, 3].map((index) => eventAt("s", index));
  assert.deepEqual(await allEvents(used, "s"), three);
  assert.deepEqual(await allEvents(unused, "s"), three);
});

test("a migration whose connection ends is tried again", async (t) => {
  const url = await server.createDatabase();
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run("CREATE TABLE sessions (number int)");
  const driver = open(t, url);
  const write = driver.insertEvent("s", eventAt("s", 1));
  await other.isInTheWayOf(1);
  assert.equal(await other.endThoseWhoWait(), 1);
  await other.run("ROLLBACK");
  await write;
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
});

test(`every acknowledged write survives the SIGKILL of its process at a random moment, ${ROUNDS} times over`, async (t) => {
  const url = await server.createDatabase();
  let load: Load | undefined;
  for (let round = 0; round < ROUNDS; round += 1) {
    load = await startLoad(t, { connectionString: url }, load);
    // One round in five dies while it connects, or makes the tables: the first among them.
    if (round % 5 > 0) await load.progress(randomInt(1, 100));
    await delay(randomInt(0, 8));
    await load.kill();
    // The server notices the end of a client only when it has done what that had asked for.
    await terminateAll(url);
    if (round > 0) await load.check(url, false);
  }
});

// Usually PgBouncer waits 15 seconds before it tries again to log in at a server that it could not reach.
const IMPATIENT = ["server_login_retry = 0.1"];

describe("behind PgBouncer", { skip: skipWithoutPgBouncer() }, () => {
  test("the pooler is killed and started again under load", async (t) => {
    const url = await server.createDatabase();
    const pgbouncer = await startPgBouncer(server, IMPATIENT);
    t.after(pgbouncer.cleanup);
    const load = await startLoad(t, { connectionString: pgbouncer.urlOf(url) });
    for (let round = 0; round < 3; round += 1) {
      await load.progress(randomInt(1, 50));
      await pgbouncer.kill();
      await pgbouncer.start();
    }
    await load.progress();
    await load.stop();
    await load.check(url);
  });

  for (const how of ["fast", "immediate"] as const) {
    test(`the server is restarted under load after a stop that is ${how}`, async (t) => {
      bringBack(t);
      const url = await server.createDatabase();
      const pgbouncer = await startPgBouncer(server, IMPATIENT);
      t.after(pgbouncer.cleanup);
      const load = await startLoad(t, { connectionString: pgbouncer.urlOf(url) });
      for (let round = 0; round < 3; round += 1) {
        await load.progress(randomInt(1, 50));
        await server.stop(how);
        await server.start();
      }
      await load.progress();
      await load.stop();
      await load.check(url);
    });
  }
});
