/**
 * Postgres drivers from their first call to their last: how many connections each has and when these end, what keeps the
 * process alive, and that nothing is left behind.
 */
import assert from "node:assert/strict";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";

import pg from "pg";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { event, record, refused } from "./suites/arguments/refusals.mts";
import { uniqueName } from "./support/postgres/login.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { start } from "./support/process.mts";

type Options = PostgresSessionPersistDriverOptions;

const server = await startServer();
after(server.cleanup);

let schemas = 0;
const schema = () => `life_${(schemas += 1)}`;

/** Nothing listens there. */
const NOWHERE = "postgres://user@127.0.0.1:1/database";

/** A driver with a name of its own, which the server shows for its connections. */
function opened(t: TestContext, options: Options = {}) {
  const applicationName = uniqueName();
  const name = options.schema ?? schema();
  const driver = new PostgresSessionPersistDriver({
    connectionString: server.url,
    schema: name,
    applicationName,
    ...options,
  });
  t.after(() => driver.close());
  return { driver, applicationName, schema: name };
}

/** The server's processes for the connections of a driver. */
async function backends(applicationName: string): Promise<number[]> {
  const sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid";
  return (await query(server.url, sql, [applicationName])).map(({ pid }) => pid);
}

/** Asks again until it is so. */
async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 120_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) assert.fail(`${what} did not come true`);
    await delay(20);
  }
}

/** Holds a lock on a table, so that whoever reads or writes it waits, until it is released or the test ends. */
async function locked(t: TestContext, table: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  let held = true;
  const release = async () => {
    if (held) await client.end();
    held = false;
  };
  t.after(release);
  await client.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return release;
}

describe("connections", () => {
  const limit = { timeout: 120_000 };

  for (const maxConnections of [2, 3, 7]) {
    test(`maxConnections: ${maxConnections} is the most under a flood of reads and writes`, limit, async (t) => {
      const { driver, applicationName, schema } = opened(t, { maxConnections });
      await driver.insertEvent("s0", eventAt("s0", 1));
      const release = await locked(t, `${schema}.events`);
      const calls: Promise<unknown>[] = [];
      for (let number = 0; number < 300; number += 1) {
        const session = `s${number}`;
        calls.push(driver.insertEvent(session, eventAt(session, 1)), driver.listEvents({ sessionId: session }));
        calls.push(driver.getSession(session), driver.updateSession(sessionOf(session)));
        if (number % 30 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      // What waits for the lock holds its connection, so writes that come later need others, for as long as there are.
      let late = 300;
      await until(async () => {
        late += 1;
        calls.push(driver.insertEvent(`s${late}`, eventAt(`s${late}`, 1)));
        return (await backends(applicationName)).length >= maxConnections;
      }, "the use of all connections");
      for (let number = 0; number < 10; number += 1) {
        late += 1;
        calls.push(driver.insertEvent(`s${late}`, eventAt(`s${late}`, 1)));
        await backends(applicationName);
      }
      const most: number[] = [(await backends(applicationName)).length];
      await release();
      let flooding = true;
      const flood = Promise.all(calls).finally(() => (flooding = false));
      while (flooding) most.push((await backends(applicationName)).length);
      await flood;
      assert.ok(Math.max(...most) <= maxConnections, `there were ${Math.max(...most)}`);
      assert.equal((await allEvents(driver, "s299")).length, 1);
    });
  }

  test("acquireTimeoutMs ends the waiting for a connection, and what has one goes on", limit, async (t) => {
    const { driver, schema } = opened(t, { maxConnections: 2, acquireTimeoutMs: 1_000 });
    await driver.insertEvent("s", eventAt("s", 1));
    const release = await locked(t, `${schema}.events`);
    const has = driver.listEvents({ sessionId: "s" });
    await until(async () => {
      const [{ waiting }] = await query(server.url, "SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted");
      return waiting > 0;
    }, "the waiting for the lock");
    const waits = { name: "Error", code: "ERR_PERSIST_TIMEOUT", message: /acquireTimeoutMs.*maxConnections/ };
    await assert.rejects(driver.getSession("s"), waits);
    // Reads and writes have connections of their own.
    await driver.updateSession(sessionOf("s"));
    await release();
    assert.deepEqual((await has).items, [eventAt("s", 1)]);
    assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
  });

  test("idleTimeoutMs closes connections that nobody uses, and calls open new ones", limit, async (t) => {
    const { driver, applicationName } = opened(t, { idleTimeoutMs: 100 });
    for (const round of [1, 2]) {
      await Promise.all([
        driver.insertEvent("s", eventAt("s", round)),
        ...Array(5)
          .fill(0)
          .map(() => driver.getSession("s")),
      ]);
      await until(async () => (await backends(applicationName)).length === 0, "the end of all connections");
    }
    const { driver: other, applicationName: kept } = opened(t, { idleTimeoutMs: 0 });
    await other.insertEvent("s", eventAt("s", 1));
    const before = await backends(kept);
    // As long as it took the one with a limit, twice over.
    await driver.getSession("s");
    await until(async () => (await backends(applicationName)).length === 0, "the end of all connections");
    assert.deepEqual(await backends(kept), before);
  });

  test("maxLifetimeMs replaces connections, in use or not", limit, async (t) => {
    const { driver, applicationName } = opened(t, { maxLifetimeMs: 200, idleTimeoutMs: 0 });
    const seen = new Set<number>();
    let index = 0;
    await until(async () => {
      index += 1;
      await driver.insertEvent("s", eventAt("s", index));
      for (const pid of await backends(applicationName)) seen.add(pid);
      return seen.size >= 4;
    }, "a third generation of connections");
    assert.equal((await allEvents(driver, "s")).length, index);
    await until(async () => (await backends(applicationName)).length === 0, "the end of those that are not used");
  });

  test("close ends what was called before, refuses what comes after, and leaves no connection", limit, async (t) => {
    const { driver, applicationName, schema } = opened(t);
    await driver.ready();
    const release = await locked(t, `${schema}.events`);
    const closed = { name: "Error", code: "ERR_PERSIST_CLOSED", message: /^the driver is closed/ };
    let over = false;
    const before = Array.from({ length: 200 }, (_, at) => driver.insertEvent(`s${at % 7}`, eventAt(`s${at % 7}`, at)));
    const read = driver.listEvents({ sessionId: "s0" });
    const closing = Promise.all([driver.close(), driver.close(), driver[Symbol.asyncDispose]()]).then(
      () => (over = true),
    );
    const calls = {
      ready: () => driver.ready(),
      getSession: () => driver.getSession("s"),
      listSessions: () => driver.listSessions(),
      updateSession: () => driver.updateSession(record()),
      listEvents: () => driver.listEvents({ sessionId: "s" }),
      insertEvent: () => driver.insertEvent("s", event()),
    };
    assert.equal(over, false);
    await release();
    await closing;
    for (const [name, call] of Object.entries(calls)) await assert.rejects(call(), closed, name);
    assert.deepEqual(await backends(applicationName), []);
    await Promise.all([...before, read]);
    const [{ count }] = await query(server.url, `SELECT count(*)::int FROM ${schema}.events`);
    assert.equal(count, 200);
    await driver.close();
    await refused(() => driver.getSession(5 as never), /^id must be a string/);
  });

  test("close before the first call, and of a driver that never got in, resolves", limit, async (t) => {
    const { driver, applicationName } = opened(t);
    await Promise.all([driver.close(), driver.close()]);
    await assert.rejects(driver.ready(), { code: "ERR_PERSIST_CLOSED" });
    assert.deepEqual(await backends(applicationName), []);
    const nowhere = new PostgresSessionPersistDriver({ connectionString: NOWHERE, queryTimeoutMs: 200 });
    const write = assert.rejects(nowhere.insertEvent("s", event()), { code: "ERR_PERSIST_UNAVAILABLE" });
    await nowhere.close();
    await write;
  });

  test("await using closes the driver at the end of the block", limit, async () => {
    const applicationName = uniqueName();
    {
      await using persist = new PostgresSessionPersistDriver({
        connectionString: server.url,
        schema: schema(),
        applicationName,
      });
      await persist.insertEvent("s", event());
      assert.equal((await backends(applicationName)).length > 0, true);
    }
    assert.deepEqual(await backends(applicationName), []);
    assert.deepEqual(Object.keys(new PostgresSessionPersistDriver({ connectionString: NOWHERE })), []);
  });
});

describe("the process", { skip: process.platform !== "linux" && "it counts threads and files in /proc" }, () => {
  // Node ends a process with code 1 at the first unhandled rejection, so code 0 says that there was none.
  const ENDED_WELL = { code: 0, signal: null, stderr: "" };
  const limit = { timeout: 120_000 };
  const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);
  const child = (t: TestContext, task: string, name: string, applicationName = uniqueName()) =>
    start(t, "postgres-life.mts", [
      task,
      JSON.stringify({ connectionString: server.url, schema: name, applicationName }),
    ]);

  async function stored(name: string, session: string): Promise<number[]> {
    const sql = `SELECT event_index::int AS index FROM ${name}.events WHERE session_id = $1 ORDER BY 1`;
    return (await query(server.url, sql, [session])).map(({ index }) => index);
  }

  test("drivers that are idle, failed or never used let it end by itself", limit, async (t) => {
    const name = schema();
    const applicationName = uniqueName();
    const ended = child(t, "idle", name, applicationName);
    assert.deepEqual(await ended.ended, ENDED_WELL);
    assert.deepEqual(ended.rest(), ["the loop is empty"]);
    assert.deepEqual(await stored(name, "s"), [1]);
    await until(async () => (await backends(applicationName)).length === 0, "the end of its connections");
  });

  test("writes that nobody awaits hold it until all are stored", limit, async (t) => {
    const name = schema();
    assert.deepEqual(await child(t, "write", name).ended, ENDED_WELL);
    assert.deepEqual(await stored(name, "s"), upTo(500));
  });

  test("a write that waits for a lock holds it until the lock is released", limit, async (t) => {
    const { driver, schema: name } = opened(t);
    await driver.ready();
    const release = await locked(t, `${name}.events`);
    const writing = child(t, "write", name);
    let over = false;
    void writing.ended.then(() => (over = true));
    assert.equal(await writing.next(), "the main program has ended");
    const waiting = "SELECT count(*)::int AS waiting FROM pg_locks WHERE NOT granted";
    await until(async () => (await query(server.url, waiting))[0].waiting > 0, "the waiting for the lock");
    assert.equal(over, false);
    await release();
    assert.deepEqual(await writing.ended, ENDED_WELL);
    assert.deepEqual(await stored(name, "s"), upTo(500));
  });

  test("process.exit in mid-write ends with its code, and what was acknowledged is stored", limit, async (t) => {
    for (const task of ["exit-at-once", "exit-in-mid-write"]) {
      const { driver, schema: name } = opened(t);
      await driver.ready();
      const exiting = child(t, task, name);
      assert.deepEqual(await exiting.ended, { code: 3, signal: null, stderr: "" });
      const acknowledged = exiting.rest<number>();
      const there = await stored(name, "s");
      assert.deepEqual(there, upTo(there.length));
      assert.ok(there.length >= Math.max(0, ...acknowledged), `${there.length} are stored`);
      assert.equal(acknowledged.length > 0, task === "exit-in-mid-write");
    }
  });

  interface Held {
    threads: number;
    files: number;
  }
  for (const [task, what] of [
    ["open-and-close", "opened and closed"],
    ["drop", "dropped without a close, and collected,"],
  ]) {
    test(`many drivers that are ${what} leave no thread, socket or connection`, limit, async (t) => {
      const applicationName = uniqueName();
      const name = schema();
      const options = JSON.stringify({ connectionString: server.url, schema: name, applicationName });
      const using = start(t, "postgres-life.mts", [task, options], ["--expose-gc"]);
      const { before, most, after } = await using.next<Record<"before" | "most" | "after", Held>>();
      // What proves that the counting counts: a driver has a thread and connections.
      assert.ok(most.threads > before.threads && most.files > before.files, inspect({ before, most }));
      assert.ok(after.threads <= before.threads && after.files <= before.files, inspect({ before, after }));
      await until(async () => (await backends(applicationName)).length === 0, "the end of its connections");
      assert.deepEqual(await using.ended, ENDED_WELL);
      // What was under way when a driver was dropped is stored all the same.
      assert.equal((await stored(name, "s")).length, task === "drop" ? 41 : 1);
    });
  }

  for (const where of ["everywhere", "workers"]) {
    test(`worker threads that end in mid-write leave it alive and lose nothing: ${where}`, limit, async (t) => {
      const { driver, schema: name } = opened(t);
      await driver.ready();
      const applicationName = uniqueName();
      const options = { connectionString: server.url, schema: name, applicationName };
      const ending = start(t, "end-workers.mts", [JSON.stringify({ driver: "Postgres", options }), "10", where]);
      assert.deepEqual(await ending.ended, ENDED_WELL);
      const [report] = ending.rest<{ acknowledged: [string, number][]; here: number }>();
      assert.deepEqual(await stored(name, "here"), upTo(report.here));
      assert.equal(new Set(report.acknowledged.map(([session]) => session.split("-")[1])).size, 20);
      for (const [session, index] of report.acknowledged) {
        const there = await stored(name, session);
        assert.deepEqual(there, upTo(there.length));
        assert.ok(there.length >= index, `${session}: ${there.length} of ${index}`);
      }
      await until(async () => (await backends(applicationName)).length === 0, "the end of its connections");
    });
  }
});
