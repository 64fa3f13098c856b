/** A network that goes silent: calls end in time, what can be stored elsewhere is, and all works again afterwards. */
import assert from "node:assert/strict";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { type PostgresSessionPersistDriverOptions, PostgresSessionPersistDriver } from "../index.js";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { type NetworkProxy, startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

// What never comes back within this is a failure: no limit of the driver's but `queryTimeoutMs` is shorter.
const PATIENCE = { timeout: 120_000, concurrency: true };
const PATIENT = { connectTimeoutMs: 600_000, acquireTimeoutMs: 600_000 };

let made = 0;

interface Parts {
  driver: PostgresSessionPersistDriver;
  proxy: NetworkProxy;
  schema: string;
}

async function setUp(t: TestContext, options: PostgresSessionPersistDriverOptions): Promise<Parts> {
  const schema = `network_${(made += 1)}`;
  const proxy = await startProxy(server);
  const driver = new PostgresSessionPersistDriver({ connectionString: proxy.urlOf(server.url), schema, ...options });
  t.after(async () => {
    // Whatever still waits must not hold up the end.
    proxy.resume();
    await driver.close();
    await proxy.close();
  });
  return { driver, proxy, schema };
}

/** Calls until it works: there are machines on which the time that the driver has here is not always enough. */
async function eventually<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      assert.match((error as { code: string }).code, /^ERR_PERSIST_(TIMEOUT|UNAVAILABLE)$/);
    }
  }
}

async function warmUp(driver: PostgresSessionPersistDriver): Promise<void> {
  await eventually(() => driver.insertEvent("s", eventAt("s", 1)));
  await eventually(() => driver.updateSession(sessionOf("s")));
  await eventually(() => driver.getSession("s"));
}

async function stored(schema: string): Promise<string[]> {
  const rows = await query(server.url, `SELECT id, event_index FROM ${schema}.events ORDER BY session_id, event_index`);
  for (const { id, event_index: index } of rows) assert.ok(id.endsWith(`-${index}`), `${id} is stored at ${index}`);
  return rows.map((row) => row.id);
}

describe("a network that goes silent", PATIENCE, () => {
  test("ends a write and a read with ERR_PERSIST_TIMEOUT after queryTimeoutMs; later calls work", async (t) => {
    const { driver, proxy, schema } = await setUp(t, { ...PATIENT, queryTimeoutMs: 1_000 });
    await warmUp(driver);
    proxy.pause();
    const calls = [
      driver.insertEvent("s", eventAt("s", 2)),
      driver.updateSession(sessionOf("s", { agent: "other" })),
      driver.getSession("s"),
      driver.listEvents({ sessionId: "s" }),
      driver.listSessions(),
    ];
    await Promise.all(calls.map((call) => assert.rejects(call, { name: "Error", code: "ERR_PERSIST_TIMEOUT" })));
    // By now no connection is left that was made before.
    const late = [driver.insertEvent("s", eventAt("s", 2)), driver.getSession("s")];
    await Promise.all(late.map((call) => assert.rejects(call, { code: /^ERR_PERSIST_(TIMEOUT|UNAVAILABLE)$/ })));
    proxy.resume();
    // What was rejected may be stored by what was still on its way. It is the same event, so that does no harm.
    await eventually(() => driver.insertEvent("s", eventAt("s", 2)));
    await eventually(() => driver.insertEvent("s", eventAt("s", 3)));
    assert.deepEqual(
      await eventually(() => allEvents(driver, "s")),
      [1, 2, 3].map((index) => eventAt("s", index)),
    );
    assert.deepEqual(await stored(schema), ["s-1", "s-2", "s-3"]);
  });

  test("before the first connection ends every call after queryTimeoutMs, ready too; later calls work", async (t) => {
    const { driver, proxy } = await setUp(t, { ...PATIENT, queryTimeoutMs: 1_000 });
    proxy.pause();
    const calls = [
      driver.ready(),
      driver.insertEvent("s", eventAt("s", 1)),
      driver.updateSession(sessionOf("s")),
      driver.getSession("s"),
      driver.listSessions(),
    ];
    const silent = { name: "Error", code: /^ERR_PERSIST_(TIMEOUT|UNAVAILABLE)$/ };
    await Promise.all(calls.map((call) => assert.rejects(call, silent)));
    proxy.resume();
    await eventually(() => driver.ready());
    await eventually(() => driver.insertEvent("s", eventAt("s", 1)));
    assert.deepEqual(await eventually(() => allEvents(driver, "s")), [eventAt("s", 1)]);
  });

  test("for the time of connectTimeoutMs is not connected to, and the call is tried again", async (t) => {
    const { driver, proxy } = await setUp(t, { connectTimeoutMs: 200, queryTimeoutMs: 60_000 });
    proxy.pause();
    const write = driver.insertEvent("s", eventAt("s", 1));
    // The first is given up before there is a second one.
    while (proxy.opened < 2) await delay(20);
    proxy.resume();
    await write;
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
  });

  test("on the connections that are there: calls are answered on new ones, and a write is stored once", async (t) => {
    // A try gets half of it, and the other half is for one that is answered.
    const { driver, proxy, schema } = await setUp(t, { ...PATIENT, queryTimeoutMs: 10_000 });
    await warmUp(driver);
    proxy.pauseExisting();
    const [, , , record] = await Promise.all([
      driver.insertEvent("s", eventAt("s", 2)),
      driver.insertEvent("other", eventAt("other", 1)),
      driver.updateSession(sessionOf("other")),
      driver.getSession("s"),
    ]);
    assert.deepEqual(record, sessionOf("s"));
    assert.deepEqual(await stored(schema), ["other-1", "s-1", "s-2"]);
    assert.deepEqual(await driver.getSession("other"), sessionOf("other"));
  });

  test("on the connection that many lookups share has the server told once", async (t) => {
    const { driver, proxy } = await setUp(t, { ...PATIENT, queryTimeoutMs: 10_000 });
    await warmUp(driver);
    const { opened } = proxy;
    proxy.pauseExisting();
    const found = await Promise.all(Array.from({ length: 200 }, () => driver.getSession("s")));
    assert.ok(found.every((record) => record?.id === "s"));
    // The one that tells it, the one that they were answered on, and those of looks for late writes, which may come meanwhile; not 200.
    assert.ok(proxy.opened - opened <= 20, `${proxy.opened - opened} connections were opened`);
  });

  test("on many connections that are there costs no call its time", async (t) => {
    const { driver, proxy, schema } = await setUp(t, { ...PATIENT, queryTimeoutMs: 10_000, maxConnections: 20 });
    await warmUp(driver);
    // As many connections as can be, since each waits for the lock.
    const other = await otherConnection(t, server.url);
    await other.run("BEGIN");
    await other.run(`LOCK TABLE ${schema}.events, ${schema}.sessions`);
    const pages = Array.from({ length: 15 }, (_, number) => driver.listEvents({ sessionId: `reader-${number}` }));
    const calls: Promise<unknown>[] = [...pages, driver.getSession("s")];
    for (let number = 1; number <= 4; number += 1) {
      calls.push(driver.insertEvent(`writer-${number}`, eventAt(`writer-${number}`, 1)));
      await other.isInTheWayOf(16 + number);
    }
    await other.run("COMMIT");
    await Promise.all(calls);
    assert.ok(proxy.open >= 20, `${proxy.open} connections are open`);

    proxy.pauseExisting();
    await Promise.all([
      driver.getSession("s"),
      driver.listEvents({ sessionId: "s" }),
      driver.insertEvent("s", eventAt("s", 2)),
    ]);
    assert.equal((await stored(schema)).filter((id) => id === "s-2").length, 1);
  });

  test("on connections that nobody used for a while is noticed before the next call", async (t) => {
    // Half of it is how long a call that is not sent to somebody silent never takes.
    const { driver, proxy } = await setUp(t, { ...PATIENT, queryTimeoutMs: 600_000, idleTimeoutMs: 0 });
    await warmUp(driver);
    proxy.pauseExisting();
    // The time after which the driver asks a connection whether it still lives.
    await delay(5_500);
    await Promise.all([driver.insertEvent("s", eventAt("s", 2)), driver.getSession("s")]);
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), eventAt("s", 2)]);
  });

  test("on idle connections does not keep them past idleTimeoutMs", async (t) => {
    const { driver, proxy } = await setUp(t, { idleTimeoutMs: 200 });
    await warmUp(driver);
    const { opened } = proxy;
    while (proxy.open > 0) await delay(20);
    await driver.insertEvent("s", eventAt("s", 2));
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), eventAt("s", 2)]);
    assert.ok(proxy.opened > opened);
  });

  test("does not hold up close for longer than the calls that were made before it", async (t) => {
    const { driver, proxy } = await setUp(t, { ...PATIENT, queryTimeoutMs: 1_000 });
    await warmUp(driver);
    proxy.pause();
    const call = assert.rejects(driver.insertEvent("s", eventAt("s", 2)), { code: "ERR_PERSIST_TIMEOUT" });
    await driver.close();
    await call;
    await assert.rejects(driver.getSession("s"), { code: "ERR_PERSIST_CLOSED" });
  });
});

test("connections that are cut while idle, in good order or by a reset, are replaced unnoticed", async (t) => {
  const { driver, proxy } = await setUp(t, {});
  await warmUp(driver);
  for (const [number, how] of (["close", "reset", "close", "reset"] as const).entries()) {
    proxy.cut(how);
    await Promise.all([driver.insertEvent("s", eventAt("s", number + 2)), driver.getSession("s")]);
  }
  assert.equal((await allEvents(driver, "s")).length, 5);
});

test("a port that refuses for a while is waited for, and for longer than queryTimeoutMs is ERR_PERSIST_UNAVAILABLE", async (t) => {
  const { driver, proxy } = await setUp(t, { queryTimeoutMs: 2_000 });
  await warmUp(driver);
  proxy.refuse();
  proxy.cut();
  const calls = [driver.insertEvent("s", eventAt("s", 2)), driver.getSession("s")];
  await Promise.all(calls.map((call) => assert.rejects(call, { code: "ERR_PERSIST_UNAVAILABLE" })));
  const waiting = [driver.insertEvent("s", eventAt("s", 2)), driver.getSession("s")];
  await proxy.accept();
  await Promise.all(waiting);
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), eventAt("s", 2)]);
});
