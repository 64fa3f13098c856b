/** The life of a driver: what it keeps alive, what it lets go, and what becomes of writes under way when it ends. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { SQLiteSessionPersistDriver } from "../index.js";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import { start } from "./support/process.mts";

// Node ends a process with code 1 at the first unhandled rejection, so code 0 says that there was none.
const ENDED_WELL = { code: 0, signal: null, stderr: "" };

const proc = process.platform === "linux" ? false : "it counts threads and files in /proc, which is Linux's";

async function stored(t: TestContext, filename: string, sessionId: string): Promise<number[]> {
  const driver = new SQLiteSessionPersistDriver({ filename });
  t.after(() => driver.close());
  const events = await allEvents(driver, sessionId);
  await driver.close();
  return events.map((event) => event.eventIndex);
}

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);

test("drivers that are idle, failed or never used let the process end by itself, with nothing unhandled", async (t) => {
  const folder = directory(t);
  const child = start(t, "idle.mts", [folder]);
  assert.deepEqual(await child.ended, ENDED_WELL);
  assert.deepEqual(child.rest(), ["the loop is empty"]);
  assert.deepEqual(await stored(t, join(folder, "used.db"), "s"), [1]);
});

test("writes that nobody awaits hold the process until all of them are stored", async (t) => {
  const filename = join(directory(t), "pending.db");
  const child = start(t, "write-without-awaiting.mts", [filename, "500"]);
  assert.deepEqual(await child.ended, ENDED_WELL);
  assert.deepEqual(await stored(t, filename, "s"), upTo(500));
});

test("process.exit in mid-write ends with its code, and what was acknowledged is stored", async (t) => {
  const folder = directory(t);
  const rounds = upTo(6).map(async (round) => {
    const filename = join(folder, `${round}.db`);
    const child = start(t, "write-without-awaiting.mts", [filename, "4000", "exit-in-mid-write"]);
    assert.deepEqual(await child.ended, { code: 3, signal: null, stderr: "" });
    const acknowledged = child.rest<number>();
    const there = await stored(t, filename, "s");
    assert.deepEqual(there, upTo(there.length));
    assert.ok(there.length >= Math.max(0, ...acknowledged), `${there.length} are stored`);
  });
  await Promise.all(rounds);
});

test("process.exit while the file is being opened ends with its code", async (t) => {
  const folder = directory(t);
  const rounds = upTo(4).map(async (round) => {
    const filename = join(folder, `${round}.db`);
    const child = start(t, "write-without-awaiting.mts", [filename, "2000", "exit-at-once"]);
    assert.deepEqual(await child.ended, { code: 4, signal: null, stderr: "" });
    const there = await stored(t, filename, "s");
    assert.deepEqual(there, upTo(there.length));
  });
  await Promise.all(rounds);
});

test("close commits what was called before it and while it waits, refuses what comes after, and may be called twice", async (t) => {
  const filename = join(directory(t), "close.db");
  const driver = new SQLiteSessionPersistDriver({ filename });
  const closed = { code: "ERR_PERSIST_CLOSED" };
  const settled: string[] = [];
  const before = upTo(2_000).map((index) =>
    driver.insertEvent("s", eventAt("s", index)).then(() => settled.push("write")),
  );
  const read = driver.getSession("s");
  const first = driver.close().then(() => settled.push("close"));
  const second = driver.close();
  const meanwhile = driver.insertEvent("s", eventAt("s", 2_001)).then(() => settled.push("write"));
  await Promise.all([...before, first, second, read, meanwhile]);
  assert.equal(settled.indexOf("close"), 2_001, "close resolves after every write");
  const after = [
    driver.insertEvent("s", eventAt("s", 3_000)),
    driver.updateSession(sessionOf("s")),
    driver.getSession("s"),
    driver.ready(),
  ];
  for (const call of after) await assert.rejects(call, closed);
  await driver.close();
  assert.deepEqual(await stored(t, filename, "s"), upTo(2_001));
  assert.deepEqual(readdirSync(join(filename, "..")), ["close.db"]);
});

test("close before the file is open waits for it, and a close of one that never opened resolves", async (t) => {
  const folder = directory(t);
  for (let round = 0; round < 20; round += 1) {
    const driver = new SQLiteSessionPersistDriver({ filename: join(folder, `${round}.db`) });
    const write = round % 2 ? driver.insertEvent("s", eventAt("s", 1)) : undefined;
    await driver.close();
    await write;
    assert.deepEqual(await stored(t, join(folder, `${round}.db`), "s"), round % 2 ? [1] : []);
  }
  const failing = new SQLiteSessionPersistDriver({ filename: join(folder, "missing", "a.db") });
  const write = failing.insertEvent("s", eventAt("s", 1));
  const close = failing.close();
  await assert.rejects(write, { code: "ERR_PERSIST_UNAVAILABLE" });
  await close;
});

test("Symbol.asyncDispose is close", async () => {
  const driver = new SQLiteSessionPersistDriver();
  await driver.insertEvent("s", eventAt("s", 1));
  if (Symbol.asyncDispose) await driver[Symbol.asyncDispose]();
  await assert.rejects(driver.ready(), { code: "ERR_PERSIST_CLOSED" });
});

interface Held {
  threads: number;
  files: number;
}

test("100 drivers, opened and closed, leave no thread and no file open", { skip: proc }, async (t) => {
  const child = start(t, "open-and-close.mts", [directory(t), "100"]);
  const { before, most, after } = await child.next<Record<"before" | "most" | "after", Held>>();
  // What proves that the counting counts: every driver has a thread, and every second one a file.
  assert.ok(most.threads >= before.threads + 100 && most.files >= before.files + 50);
  assert.ok(after.threads <= before.threads, `${after.threads} threads are left of ${before.threads}`);
  assert.equal(after.files, before.files);
  assert.deepEqual(await child.ended, ENDED_WELL);
});

test(
  "drivers that are dropped without close are collected, store what was under way, and release everything",
  { skip: proc, timeout: 120_000 },
  async (t) => {
    const folder = directory(t);
    const child = start(t, "drop-drivers.mts", [folder, "40"], ["--expose-gc"]);
    const { before, most, after } = await child.next<Record<"before" | "most" | "after", Held>>();
    assert.ok(most.threads > before.threads && most.files > before.files);
    assert.ok(after.threads <= before.threads && after.files <= before.files);
    assert.deepEqual(await child.ended, ENDED_WELL);
    for (const name of ["first.db", ...upTo(40).map((number) => `${number - 1}.db`)]) {
      assert.deepEqual(await stored(t, join(folder, name), "s"), [1, 2]);
    }
  },
);

for (const [where, what] of [
  ["everywhere", "the main thread has a driver too"],
  ["workers", "the addon is loaded in workers alone"],
]) {
  test(
    `worker threads that are terminated in mid-write leave the process alive and lose nothing: ${what}`,
    { timeout: 120_000 },
    async (t) => {
      const filename = join(directory(t), "workers.db");
      const child = start(t, "end-workers.mts", [
        JSON.stringify({ driver: "SQLite", options: { filename } }),
        "20",
        where,
      ]);
      assert.deepEqual(await child.ended, ENDED_WELL);
      const [report] = child.rest<{ acknowledged: [string, number][]; here: number }>();
      assert.equal(new Set(report.acknowledged.map(([session]) => session.split("-")[1])).size, 40);
      for (const [session, acknowledged] of report.acknowledged) {
        const there = await stored(t, filename, session);
        assert.deepEqual(there, upTo(there.length));
        assert.ok(there.length >= acknowledged, `${session}: ${there.length} of ${acknowledged}`);
      }
      assert.deepEqual(await stored(t, filename, "here"), upTo(report.here));
    },
  );
}

test("pages that a worker did not take before it was terminated are let go", { timeout: 120_000 }, async (t) => {
  const child = start(t, "end-readers.mjs", [join(directory(t), "pages.db"), "8"]);
  const growth = await child.next<number>();
  // The pages of the eight are 640 MB.
  assert.ok(growth < 200e6, `the process grew by ${growth} bytes`);
  assert.deepEqual(await child.ended, ENDED_WELL);
});

test("memory is flat over 200,000 inserts and 200 full scans", { timeout: 120_000 }, async (t) => {
  const filename = join(directory(t), "memory.db");
  const child = start(t, "measure-memory.mts", [filename, "200000", "200"], ["--expose-gc"]);
  const report = await child.next<Record<"before" | "between" | "after", { rss: number; heap: number }>>();
  const { before, between, after } = report;
  t.diagnostic(JSON.stringify(report));
  // The inserts are 60 MB of JSON text, and so are the scans: a leak of a part of it would show.
  const MiB = 1 << 20;
  assert.ok(between.rss - before.rss < 24 * MiB, `the inserts left ${(between.rss - before.rss) / MiB} MiB`);
  assert.ok(after.rss - before.rss < 32 * MiB, `all left ${(after.rss - before.rss) / MiB} MiB`);
  assert.ok(after.heap - before.heap < 4 * MiB, `V8's heap grew by ${(after.heap - before.heap) / MiB} MiB`);
  assert.deepEqual(await child.ended, ENDED_WELL);
});
