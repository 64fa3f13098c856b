/** Several processes on one file: no event is lost, no index is given twice, and a lock is waited for. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import Database from "better-sqlite3";

import { SQLiteSessionPersistDriver } from "../index.js";
import { otherProcess } from "./support/sqlite/other-process.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import { start, type Started } from "./support/process.mts";
import type { Report, Task } from "./support/programs/write-on-demand.mts";

async function writers(t: TestContext, count: number): Promise<Started[]> {
  const started = Array.from({ length: count }, () => start(t, "write-on-demand.mts"));
  for (const writer of started) assert.equal(await writer.next(), "loaded");
  return started;
}

/** Gives each process its task at once, and waits for all their reports. */
function atOnce(processes: Started[], taskOf: (number: number) => Task): Promise<Report[]> {
  for (const [number, one] of processes.entries()) one.send(taskOf(number));
  return Promise.all(processes.map((one) => one.next<Report>()));
}

function open(t: TestContext, filename: string, options = {}): SQLiteSessionPersistDriver {
  const driver = new SQLiteSessionPersistDriver({ filename, ...options });
  t.after(() => driver.close());
  return driver;
}

const byIndex = (a: { eventIndex: number }, b: { eventIndex: number }) => a.eventIndex - b.eventIndex;
const place = ({ id, eventIndex }: { id: string; eventIndex: number }) => ({ id, eventIndex });

test("six processes that open one new file at the same moment all win, on 15 files", async (t) => {
  const folder = directory(t);
  const processes = await writers(t, 6);
  for (let round = 0; round < 15; round += 1) {
    const filename = join(folder, `new-${round}.db`);
    const reports = await atOnce(processes, (number) => ({
      options: { filename },
      session: `session-${number}`,
      name: "event",
      count: 3,
      atOnce: 3,
    }));
    assert.deepEqual(
      reports.flatMap((report) => report.failed),
      [],
    );
    const database = new Database(filename, { readonly: true });
    assert.equal(database.pragma("journal_mode", { simple: true }), "wal");
    assert.deepEqual(database.prepare("SELECT count(*) AS events FROM events").get(), { events: 18 });
    database.close();
  }
});

test("six processes that adopt one old file at the same moment all win", async (t) => {
  const folder = directory(t);
  const processes = await writers(t, 6);
  for (let round = 0; round < 5; round += 1) {
    const filename = join(folder, `old-${round}.db`);
    const database = new Database(filename);
    database.exec(
      `CREATE TABLE sessions (id TEXT PRIMARY KEY, agent TEXT, agent_session_id TEXT, last_connection_id TEXT,
         created_at INTEGER, destroyed_at INTEGER, session_init_json TEXT);
       CREATE TABLE events (id INTEGER PRIMARY KEY, session_id TEXT, created_at INTEGER, connection_id TEXT,
         sender TEXT, payload_json TEXT);
       WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 500)
       INSERT INTO events SELECT n, 'session', n, 'c', 'agent', '{}' FROM number`,
    );
    database.close();
    const reports = await atOnce(processes, (number) => ({
      options: { filename },
      session: "session",
      name: `process-${number}`,
      count: 3,
      atOnce: 3,
    }));
    assert.deepEqual(
      reports.flatMap((report) => report.failed),
      [],
    );
    const driver = open(t, filename);
    const stored = await allEvents(driver, "session");
    const old = stored.slice(0, 500).map((event) => event.id);
    assert.deepEqual(
      old,
      Array.from({ length: 500 }, (_, number) => String(number + 1)),
    );
    assert.deepEqual(stored.slice(500).map(place), reports.flatMap((report) => report.stored).sort(byIndex));
    await driver.close();
  }
});

test("four processes write one session flat out: every event is stored once, and its object has the stored index", async (t) => {
  const filename = join(directory(t), "shared.db");
  const count = 400;
  const processes = await writers(t, 4);
  const reports = await atOnce(processes, (number) => ({
    options: { filename },
    session: "shared",
    name: `process-${number}`,
    count,
    atOnce: 8,
  }));
  assert.deepEqual(
    reports.flatMap((report) => report.failed),
    [],
  );

  const stored = await allEvents(open(t, filename), "shared");
  assert.deepEqual(
    stored.map((event) => event.eventIndex),
    Array.from({ length: 4 * count }, (_, position) => position + 1),
  );
  assert.deepEqual(stored.map(place), reports.flatMap((report) => report.stored).sort(byIndex));
  // Each process's own events keep the order in which it wrote them.
  for (const number of processes.keys()) {
    const own = stored.map((event) => event.id).filter((id) => id.startsWith(`process-${number}-`));
    assert.deepEqual(
      own,
      Array.from({ length: count }, (_, begun) => `process-${number}-${begun + 1}`),
    );
  }
});

test("four processes write sessions of their own flat out, and nobody waits past the busy timeout", async (t) => {
  const filename = join(directory(t), "own.db");
  const processes = await writers(t, 4);
  const reports = await atOnce(processes, (number) => ({
    options: { filename },
    session: `session-${number}`,
    name: "event",
    count: 1_000,
    atOnce: 16,
  }));
  assert.deepEqual(
    reports.flatMap((report) => report.failed),
    [],
  );
  const driver = open(t, filename);
  for (const number of processes.keys()) {
    assert.equal((await allEvents(driver, `session-${number}`)).length, 1_000);
  }
});

test("with `reject`, two processes and the SDK's three tries lose what they report, and nothing else", async (t) => {
  const filename = join(directory(t), "reject.db");
  const count = 300;
  const processes = await writers(t, 2);
  const reports = await atOnce(processes, (number) => ({
    options: { filename, onEventIndexConflict: "reject" },
    session: "shared",
    name: `process-${number}`,
    count,
    atOnce: 1,
    tries: 3,
  }));

  const failures = reports.flatMap((report) => report.failed);
  // Both began at index 1, so one of them was refused.
  assert.ok(failures.length > 0);
  for (const { code, message } of failures) {
    assert.equal(code, "ERR_PERSIST_INDEX_CONFLICT");
    assert.match(message, /UNIQUE constraint failed: .*session_id, .*event_index/);
  }
  for (const report of reports) {
    const refusals = new Map<string, number>();
    for (const { id } of report.failed) refusals.set(id, (refusals.get(id) ?? 0) + 1);
    const lost = [...refusals.values()].filter((times) => times === 3).length;
    assert.equal(report.stored.length + lost, count);
  }
  const stored = await allEvents(open(t, filename), "shared");
  assert.deepEqual(stored.map(place), reports.flatMap((report) => report.stored).sort(byIndex));
});

test("a lock held past busyTimeoutMs is ERR_PERSIST_BUSY for the write, and the next write works once it is released", async (t) => {
  const filename = join(directory(t), "locked.db");
  const driver = open(t, filename, { busyTimeoutMs: 100 });
  await driver.insertEvent("s", eventAt("s", 1));
  await driver.updateSession(sessionOf("s"));
  const other = await otherProcess(t, filename);
  await other.run("BEGIN IMMEDIATE");

  const refused = { name: "Error", code: "ERR_PERSIST_BUSY", sqliteCode: "SQLITE_BUSY", message: /busyTimeoutMs/ };
  const writes = [driver.insertEvent("s", eventAt("s", 2)), driver.updateSession(sessionOf("s", { agent: "other" }))];
  for (const write of writes) {
    await assert.rejects(write, (error: Error) => {
      assert.ok(error.message.includes(filename), error.message);
      assert.ok(error.cause instanceof Error);
      return true;
    });
    await assert.rejects(write, refused);
  }
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)], "reads go on beside the lock");
  assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
  assert.deepEqual((await driver.listSessions()).items, [sessionOf("s")]);

  await other.run("COMMIT");
  await driver.insertEvent("s", eventAt("s", 2));
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), eventAt("s", 2)]);
});

test("a write waits for a lock that is released in time", async (t) => {
  const filename = join(directory(t), "waits.db");
  const driver = open(t, filename, { busyTimeoutMs: 60_000 });
  await driver.ready();
  const other = await otherProcess(t, filename);
  await other.run("BEGIN IMMEDIATE");
  let stored = false;
  const write = driver.insertEvent("s", eventAt("s", 1)).then(() => (stored = true));
  assert.deepEqual(await other.run("SELECT count(*) AS events FROM events"), [{ events: 0 }]);
  assert.equal(stored, false);
  await other.run("COMMIT");
  await write;
  assert.deepEqual(await other.run("SELECT count(*) AS events FROM events"), [{ events: 1 }]);
});

for (const [what, mode] of [
  ["a new file", "delete"],
  ["a file in write-ahead logging", "wal"],
]) {
  test(`a lock held while the driver opens ${what} is ERR_PERSIST_BUSY, and the next call works once it is released`, async (t) => {
    const filename = join(directory(t), "opening.db");
    const other = await otherProcess(t, filename);
    await other.run(`PRAGMA journal_mode = ${mode}`);
    await other.run("CREATE TABLE mine (a)");
    await other.run("BEGIN EXCLUSIVE");
    const driver = open(t, filename, { busyTimeoutMs: 100 });
    const refused = { code: "ERR_PERSIST_BUSY", sqliteCode: "SQLITE_BUSY" };
    const early = [
      driver.ready(),
      driver.insertEvent("s", eventAt("s", 1)),
      driver.getSession("s"),
      driver.listSessions(),
    ];
    for (const call of early) await assert.rejects(call, refused);
    await assert.rejects(driver.insertEvent("s", eventAt("s", 1)), refused);
    await other.run("COMMIT");
    await driver.insertEvent("s", eventAt("s", 1));
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
  });
}

test("a file that is ready opens, and is read, while another process holds the write lock", async (t) => {
  const filename = join(directory(t), "ready.db");
  const first = open(t, filename);
  await first.insertEvent("s", eventAt("s", 1));
  await first.close();
  const other = await otherProcess(t, filename);
  await other.run("BEGIN IMMEDIATE");
  await other.run("DELETE FROM events");
  const second = open(t, filename, { busyTimeoutMs: 0 });
  await second.ready();
  assert.deepEqual(await allEvents(second, "s"), [eventAt("s", 1)], "what is not committed is not seen");
  await assert.rejects(second.insertEvent("s", eventAt("s", 2)), { code: "ERR_PERSIST_BUSY" });
  await other.run("ROLLBACK");
  await second.insertEvent("s", eventAt("s", 2));
});

test("what one process has acknowledged, another one reads at once", async (t) => {
  const filename = join(directory(t), "seen.db");
  const [writer] = await writers(t, 1);
  const driver = open(t, filename);
  assert.deepEqual(await allEvents(driver, "s"), []);
  for (let round = 1; round <= 20; round += 1) {
    const [report] = await atOnce([writer], () => ({
      options: { filename },
      session: "s",
      name: `round-${round}`,
      count: 1,
      atOnce: 1,
    }));
    assert.deepEqual(report.stored, [{ id: `round-${round}-1`, eventIndex: round }]);
    assert.equal((await allEvents(driver, "s")).length, round);
  }
});
