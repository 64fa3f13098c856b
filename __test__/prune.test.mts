/** Pruning an SQLite file: killed and stopped in the middle, rules of the owner, a full disk, and the space that it gives back. */
import assert from "node:assert/strict";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { SQLiteSessionPersistDriver } from "../index.js";
import { countOf, fill, NOTHING } from "./support/deletion.mts";
import { directory } from "./support/directory.mts";
import { onSmallDisk } from "./support/small-disk.mts";
import { allEvents, eventAt, largeEventAt, sessionOf } from "./support/records.mts";
import { asOwner, EVENTS_TEXT, made, SESSIONS_0_2 } from "./support/sqlite/layouts.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";
import { disturbedPruning } from "./suites/prune.mts";

function open(t: TestContext, filename = join(directory(t), "pruned.db"), options = {}) {
  const driver = new SQLiteSessionPersistDriver({ filename, ...options });
  t.after(() => driver.close());
  return { driver, filename, options: { filename } };
}

disturbedPruning("SQLite", async (t) => {
  const { driver, filename } = open(t);
  return {
    driver,
    storage: { driver: "SQLite", options: { filename } },
    sql: async (text) => {
      const other = await otherProcess(t, filename);
      await other.run(text);
      await other.end();
    },
  };
});

/** All sessions that `fill` makes. */
const ALL = { labels: { user: "u1" } };

/** Stores a session with so many events of 20,000 bytes. */
async function fillLarge(driver: SQLiteSessionPersistDriver, session: string, events: number): Promise<void> {
  await driver.updateSession(sessionOf(session));
  await Promise.all(
    Array.from({ length: events }, (_, number) =>
      driver.insertEvent(session, largeEventAt(session, number + 1, 20_000)),
    ),
  );
}

const OLD = { idleBefore: 1_800_000_000_000 };

test("a process that writes goes on beside it, and loses nothing", async (t) => {
  const { driver, filename } = open(t);
  await fill(driver, "idle", 6_000);
  const other = await otherProcess(t, filename);
  const pruned = driver.pruneSessions(ALL);
  let written = 0;
  let isOver = false;
  void pruned.finally(() => (isOver = true));
  while (!isOver || written < 10) {
    await other.run(`INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
      VALUES ('o-${written}', ${written}, 'other', 1, 'c', 'agent', '{}') RETURNING 1`);
    written += 1;
  }
  assert.deepEqual({ ...(await pruned), bytes: 0 }, { sessions: 1, events: 6_000, bytes: 0 });
  assert.equal((await allEvents(driver, "other")).length, written);
  await other.end();
});

for (const [what, sql] of [
  ["events", "CREATE TRIGGER kept BEFORE DELETE ON events BEGIN SELECT RAISE(IGNORE); END"],
  ["sessions", "CREATE TRIGGER kept BEFORE DELETE ON sessions BEGIN SELECT RAISE(IGNORE); END"],
  ["session_labels", "CREATE TRIGGER kept BEFORE DELETE ON session_labels BEGIN SELECT RAISE(IGNORE); END"],
] as const) {
  test(`where a trigger of the owner keeps rows of ${what}, the session stays as it was`, async (t) => {
    const { driver, filename } = open(t);
    await fill(driver, "s", 3);
    await driver.close();
    asOwner(filename, (database) => database.exec(sql));
    const again = open(t, filename).driver;
    await assert.rejects(again.pruneSessions(ALL), {
      code: "ERR_PERSIST_INVALID_ARGUMENT",
      message: new RegExp(
        `^pruning session "s" in .*: a trigger of the owner of ${what} kept its rows; what was removed before stays removed`,
      ),
    });
    assert.deepEqual(await countOf(again, "s"), { records: 1, events: 3, labels: 1 });
    assert.equal((await again.pruneSessions({ ...ALL, dryRun: true })).events, 3);
  });
}

test("an adopted file is pruned, and written anew by vacuum()", async (t) => {
  const rows = Array.from(
    { length: 2_000 },
    (_, at) => `('e${at}', ${at}, 'old', 5, 'c', 'agent', '${"1".repeat(500)}')`,
  );
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_TEXT});
     CREATE TABLE theirs (a); INSERT INTO theirs VALUES (7);
     INSERT INTO sessions VALUES ('old', 'a', 'b', 'c', 5, NULL, NULL), ('new', 'a', 'b', 'c', 50, NULL, NULL);
     INSERT INTO events VALUES ${rows.join(",")}`,
  );
  const { driver } = open(t, filename);
  const request = { idleBefore: 10 };
  const counted = await driver.pruneSessions({ ...request, dryRun: true });
  assert.deepEqual(counted, { sessions: 1, events: 2_000, bytes: 1_000_000 });
  assert.deepEqual(await driver.pruneSessions(request), counted);
  assert.deepEqual((await driver.listSessions({})).items.map(({ id }) => id), ["new"]); // prettier-ignore
  const { bytes } = await driver.vacuum();
  assert.ok(bytes > 1_000_000, String(bytes));
  assert.deepEqual(await driver.vacuum(), { bytes: 0 });
  await driver.close();
  assert.ok(statSync(filename).size < 200_000, String(statSync(filename).size));
  asOwner(filename, (database) => {
    assert.equal(database.pragma("auto_vacuum", { simple: true }), 2);
    assert.equal(database.pragma("integrity_check", { simple: true }), "ok");
    assert.deepEqual(database.prepare("SELECT a FROM theirs").all(), [{ a: 7 }]);
  });
});

test("a new file gives the space of what is pruned back, in steps; readers and writers go on", async (t) => {
  const { driver, filename } = open(t);
  await fillLarge(driver, "a", 400);
  await driver.updateSession(sessionOf("young", { createdAt: 1_900_000_000_000 }));
  const read = driver.listEvents({ sessionId: "a", limit: 1 });
  const pruned = driver.pruneSessions(OLD);
  const writes = Array.from({ length: 50 }, (_, index) => driver.insertEvent("b", eventAt("b", index + 1)));
  await Promise.all([read, ...writes]);
  assert.equal((await pruned).events, 400);
  assert.equal((await allEvents(driver, "b")).length, 50);
  assert.deepEqual(await driver.vacuum(), { bytes: 0 });
  await driver.close();
  assert.ok(statSync(filename).size < 300_000, String(statSync(filename).size));
});

test("a session that another one has taken the place of in that moment keeps all that it has", async (t) => {
  const { driver, filename } = open(t, undefined, { busyTimeoutMs: 30_000 });
  await fill(driver, "s", 20);
  const other = await otherProcess(t, filename);
  await other.run("BEGIN IMMEDIATE");
  const pruned = driver.pruneSessions({ ...ALL, keepLastEvents: 5 });
  // It knows which events are to stay, and waits for its turn.
  while ((await driver.stats()).connections.busy !== 1);
  await other.run("DELETE FROM events");
  await other.run(
    `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     VALUES ('a', 1, 's', 1, 'c', 'agent', '{}'), ('b', 2, 's', 1, 'c', 'agent', '{}')`,
  );
  await other.run("COMMIT");
  assert.deepEqual(await pruned, { sessions: 0, events: 0, bytes: 0 });
  assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 2, labels: 1 });
  await other.end();
});

test("what was deleted is given back by vacuum(), which can be ended in the middle", async (t) => {
  const { driver, filename } = open(t);
  await fillLarge(driver, "a", 1_000);
  await driver.deleteSession("a");
  const stop = new AbortController();
  const onProgress = ({ bytes }: { bytes: number }) => bytes > 0 && stop.abort();
  await assert.rejects(driver.vacuum({ signal: stop.signal, onProgress }), { name: "AbortError" });
  const { bytes } = await driver.vacuum();
  assert.ok(bytes > 0 && bytes < 20_000_000, String(bytes));
  await driver.close();
  assert.ok(statSync(filename).size < 300_000, String(statSync(filename).size));
});

test("a full disk: what was pruned stays so, and another call goes on once there is room", async (t) => {
  await onSmallDisk(t, "12m", async (folder) => {
    const { driver } = open(t, join(folder, "full.db"));
    await fillLarge(driver, "a", 150);
    const ballast = join(folder, "ballast");
    assert.throws(() => writeFileSync(ballast, Buffer.alloc(16 << 20)), { code: "ENOSPC" });
    const failed = await driver.pruneSessions(OLD).catch((error: Error & { code: string }) => error);
    // The log may have had enough room of its own.
    if (failed instanceof Error) {
      assert.equal(failed.code, "ERR_PERSIST_FULL", failed.message);
      const left = (await allEvents(driver, "a")).map(({ eventIndex }) => eventIndex);
      assert.deepEqual(left, left.map((_, number) => 151 - left.length + number)); // prettier-ignore
      rmSync(ballast);
      await driver.pruneSessions(OLD);
    }
    assert.deepEqual(await countOf(driver, "a"), NOTHING);
  });
});

test("vacuum() of an older file says how much room it needs, and changes nothing without it", async (t) => {
  await onSmallDisk(t, "12m", async (folder) => {
    const filename = join(folder, "old.db");
    asOwner(filename, (database) => database.exec("CREATE TABLE theirs (a)"));
    const { driver } = open(t, filename, { migrate: true });
    await fillLarge(driver, "a", 200);
    await driver.close();
    const again = open(t, filename).driver;
    const ballast = join(folder, "ballast");
    writeFileSync(ballast, Buffer.alloc(6 << 20));
    const error = await again.vacuum().then(
      () => assert.fail("there was room"),
      (error: Error & { code: string }) => error,
    );
    assert.equal(error.code, "ERR_PERSIST_FULL");
    const [, needed] =
      /failed: it needs (\d+) bytes of free disk space in .* and there are \d+;/.exec(error.message) ?? [];
    assert.ok(Number(needed) > 4_000_000 && Number(needed) < 6_000_000, error.message);
    assert.equal((await allEvents(again, "a")).length, 200);
    rmSync(ballast);
    await again.vacuum();
    await again.close();
    asOwner(filename, (database) => assert.equal(database.pragma("auto_vacuum", { simple: true }), 2));
  });
});
