/** What `stats` tells of an SQLite file: what other processes write and hold, whose tables it has, and how large it is. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { directory } from "./support/directory.mts";
import { listen } from "./support/notices.mts";
import { eventAt } from "./support/records.mts";
import { asOwner, EVENTS_TEXT, made, SESSIONS_0_4 } from "./support/sqlite/layouts.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";
import { open } from "./support/sqlite/refusals.mts";

const PATIENCE = { timeout: 120_000 };

const inserted = (from: number, below: number) =>
  `WITH RECURSIVE n (n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM n WHERE n < ${below - 1})
   INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
   SELECT 'e-' || n, n, 's-' || (n % 100), 1, 'c', 'agent', '{}' FROM n`;

test(
  "what another process writes and removes is counted: exactly in small tables, by and by in large ones",
  PATIENCE,
  async (t) => {
    const file = join(directory(t), "x.db");
    const driver = open(t, file);
    await driver.insertEvent("s", eventAt("s", 1));
    const other = await otherProcess(t, file);
    const count = async () => {
      const { database } = await driver.stats();
      assert.ok(database);
      return [database.events, database.counts];
    };
    const until = async (events: number) => {
      for (let found; found !== events;) [found] = await count();
    };
    await other.run(inserted(0, 9_999));
    assert.deepEqual(await count(), [10_000, "exact"]);
    await other.run(inserted(10_000, 60_001));
    await other.run("DELETE FROM events WHERE event_index BETWEEN 20000 AND 24999");
    // Until the table has been counted through, nothing is taken to have been removed.
    const [events, counts] = await count();
    assert.ok(counts === "estimate" && [60_001, 55_001].includes(events as number), `${events} ${counts}`);
    await until(55_001);
    await other.run(inserted(60_001, 60_101));
    assert.deepEqual(await count(), [55_101, "estimate"]);
    await driver.insertEvent("s", eventAt("s", 2));
    assert.deepEqual(await count(), [55_102, "estimate"]);
    await other.run("DELETE FROM events WHERE event_index > 7");
    assert.deepEqual(await count(), [10, "exact"]);
    await other.end();
  },
);

test("while another process holds the lock, writes wait in the queue, and stats answers", PATIENCE, async (t) => {
  const file = join(directory(t), "x.db");
  const driver = open(t, file, { busyTimeoutMs: 30_000 });
  await driver.insertEvent("s", eventAt("s", 1));
  await driver.stats();
  const { of, until } = listen(t, "retry", "commit");
  const other = await otherProcess(t, file);
  await other.run("BEGIN IMMEDIATE");
  const writes = Promise.all([2, 3, 4, 5, 6].map((index) => driver.insertEvent("s", eventAt("s", index))));
  let stats = await driver.stats();
  assert.equal(stats.queue.calls, 5);
  assert.ok(stats.queue.bytes > 5 * (256 + JSON.stringify(eventAt("s", 2)).length));
  assert.deepEqual([stats.writeDurationMs.count, stats.database?.events], [1, 1]);
  assert.equal(stats.retries, 0);
  while (stats.connections.busy !== 1) stats = await driver.stats();
  await other.run("COMMIT");
  await writes;
  await until("retry");
  stats = await driver.stats();
  assert.deepEqual(stats.queue, { calls: 0, bytes: 0 });
  assert.deepEqual([stats.writeDurationMs.count, stats.database?.events, stats.retries], [6, 6, 1]);
  assert.equal(stats.connections.busy, 0);
  const { code, reason, namespace } = of("retry")[0]!;
  assert.deepEqual(
    { code, reason, namespace },
    { code: "ERR_PERSIST_BUSY", reason: "another process held the write lock", namespace: file },
  );
  assert.deepEqual(
    of("commit").map(({ writes: count }) => count),
    [5],
  );
  await other.end();
});

test("while a file is made ready for long, stats has all but the database", PATIENCE, async (t) => {
  const file = made(t, `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT})`);
  const other = await otherProcess(t, file);
  await other.run("BEGIN IMMEDIATE");
  const driver = open(t, file, { busyTimeoutMs: 30_000 });
  const write = driver.insertEvent("s", eventAt("s", 1));
  const { database, queue, failed } = await driver.stats();
  assert.deepEqual({ database, calls: queue.calls, failed }, { database: undefined, calls: 1, failed: 0 });
  await other.run("COMMIT");
  await write;
  assert.equal((await driver.stats()).database?.events, 1);
  await other.end();
});

test("tables of ours have the layout own, and those that others made or added to, adopted", async (t) => {
  const layout = async (file: string) => {
    const driver = open(t, file);
    const { database } = await driver.stats();
    await driver.close();
    return database?.layout;
  };
  const field = `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT})`;
  assert.equal(await layout(made(t, field)), "adopted");
  for (const more of ["CREATE INDEX theirs ON events (created_at)", "ALTER TABLE events ADD COLUMN theirs"]) {
    const file = join(directory(t), "x.db");
    assert.equal(await layout(file), "own");
    asOwner(file, (database) => database.exec(more));
    assert.equal(await layout(file), "adopted", more);
  }
});

test("the sizes are those of the file, of the space in it and of its log", async (t) => {
  const file = join(directory(t), "x.db");
  const driver = open(t, file);
  const text = "x".repeat(100_000);
  await Promise.all(
    [1, 2, 3, 4].map((index) => driver.insertEvent("s", { ...eventAt("s", index), payload: { text } as never })),
  );
  await driver.deleteSession("s");
  const { database } = await driver.stats();
  const other = await otherProcess(t, file);
  const number = async (pragma: string) => Object.values((await other.run(`PRAGMA ${pragma}`))[0]!)[0] as number;
  const page = await number("page_size");
  assert.ok(database);
  assert.deepEqual(
    { data: database.dataBytes, free: database.freeBytes, log: database.logBytes },
    {
      data: (await number("page_count")) * page,
      free: (await number("freelist_count")) * page,
      log: statSync(`${file}-wal`).size,
    },
  );
  assert.ok(database.freeBytes! > 300_000);
  await other.end();
});

test("a file that cannot be opened leaves the rest: calls that failed, and no connection", async (t) => {
  const driver = open(t, join(directory(t), "missing", "x.db"));
  await assert.rejects(driver.insertEvent("s", eventAt("s", 1)), { code: "ERR_PERSIST_UNAVAILABLE" });
  await assert.rejects(driver.getSession("s"), { code: "ERR_PERSIST_UNAVAILABLE" });
  const { database, failed, connections, writeDurationMs, readDurationMs } = await driver.stats();
  assert.deepEqual(
    { database, failed, connections },
    { database: undefined, failed: 2, connections: { connecting: 0, busy: 0, idle: 0, waiting: 0 } },
  );
  assert.deepEqual([writeDurationMs.count, readDurationMs.count], [1, 1]);
});
