/** `backup` of SQLite: what a copy holds, while others write, and what ends one. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, test, type TestContext } from "node:test";

import Database from "better-sqlite3";

import { type BackupOptions, type BackupProgress, SQLiteSessionPersistDriver } from "../index.js";
import { refused } from "./suites/arguments/refusals.mts";
import { NOT_STRINGS } from "./suites/arguments/wrong-values.mts";
import { directory } from "./support/directory.mts";
import { start } from "./support/process.mts";
import { type Report, SESSIONS } from "./support/programs/back-up-until-killed.mts";
import { allEvents, eventAt, largeEventAt, sessionOf } from "./support/records.mts";
import { onSmallDisk } from "./support/small-disk.mts";
import { checkSound, filled, partials } from "./support/sqlite/backups.mts";
import { open } from "./support/sqlite/refusals.mts";

/** A driver on a file with another program's table of so many rows: to check them takes longer than to copy them. */
function withRows(t: TestContext, folder: string, rows: number): SQLiteSessionPersistDriver {
  const filename = join(folder, "sessions.db");
  const database = new Database(filename);
  database.exec(
    `CREATE TABLE others (name TEXT UNIQUE);
     WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
     INSERT INTO others SELECT printf('%040d', i) FROM n`,
  );
  database.close();
  return open(t, filename);
}

test("under 32 writers it holds all that was acknowledged before, and a beginning of what each wrote, of one moment", async (t) => {
  const folder = directory(t);
  const driver = await filled(t, folder, 24);
  await driver.updateSession(sessionOf("large"));
  await driver.setLabels("large", { kind: "large" });
  const sessions = Array.from({ length: 32 }, (_, number) => `writer-${number}`);
  const acknowledged = sessions.map(() => 0);
  let writing = true;
  const writers = sessions.map(async (session, number) => {
    for (let index = 1; writing; index += 1) {
      await driver.insertEvent(session, eventAt(session, index));
      acknowledged[number] = index;
    }
  });
  while (Math.min(...acknowledged) < 5) await driver.getSession("large");

  const before = [...acknowledged];
  const path = join(folder, "backup.db");
  const progress: BackupProgress[] = [];
  const onProgress = (soFar: BackupProgress) => void progress.push(soFar);
  const result = await driver.backup(path, { onProgress });
  const during = acknowledged.map((index, number) => index - before[number]!);
  writing = false;
  await Promise.all(writers);

  assert.ok(Math.min(...during) > 0, "nobody wrote during the backup");
  assert.deepEqual(result, { bytes: statSync(path).size });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(partials(folder), []);
  // One that began anew would go back, or have more to copy.
  assert.deepEqual(
    progress.map(({ bytes }) => bytes),
    progress.map(({ bytes }) => bytes).sort((one, other) => one - other),
  );
  assert.deepEqual([...new Set(progress.map(({ totalBytes }) => totalBytes))], [result.bytes]);
  checkSound(path);

  const copy = open(t, path);
  for (const [number, session] of sessions.entries()) {
    const events = await allEvents(copy, session);
    assert.ok(events.length >= before[number]!, `${session}: ${events.length} of ${before[number]}`);
    assert.deepEqual(
      events,
      events.map((_, position) => eventAt(session, position + 1)),
    );
    // The copy is of one moment: after it each of them wrote on, and none is in it.
    assert.ok(events.length <= acknowledged[number]!);
  }
  assert.deepEqual(await copy.getSession("large"), sessionOf("large"));
  assert.deepEqual(await copy.getLabels("large"), { kind: "large" });
  assert.equal((await allEvents(copy, "large", 20)).length, 48);
  await copy.insertEvent("large", eventAt("large", 49));
});

test("another program's tables are in it, as all of the file is", async (t) => {
  const folder = directory(t);
  const filename = join(folder, "application.db");
  const database = new Database(filename);
  database.exec("CREATE TABLE customers (name TEXT); INSERT INTO customers VALUES ('a')");
  database.close();
  const driver = open(t, filename);
  await driver.insertEvent("s", eventAt("s", 1));
  await driver.backup(join(folder, "backup.db"));
  const copy = new Database(join(folder, "backup.db"), { readonly: true });
  assert.deepEqual(copy.prepare("SELECT name FROM customers").all(), [{ name: "a" }]);
  copy.close();
});

test("drivers in memory and drivers that only read can be backed up, to a relative path too", async (t) => {
  const folder = directory(t);
  const memory = open(t, ":memory:");
  const events = Array.from({ length: 40 }, (_, number) => largeEventAt("s", number + 1, 100_000));
  await Promise.all(events.map((event) => memory.insertEvent("s", event)));
  let writing = true;
  const writer = (async () => {
    for (let index = 1; writing; index += 1) await memory.insertEvent("beside", eventAt("beside", index));
  })();
  const first = join(folder, "first.db");
  await memory.backup(relative(process.cwd(), first));
  writing = false;
  await writer;
  checkSound(first);

  const reader = open(t, first, { readonly: true });
  assert.deepEqual(await allEvents(reader, "s"), events);
  const second = join(folder, "second.db");
  await reader.backup(second);
  assert.deepEqual(readdirSync(folder).sort(), ["first.db", "second.db"]);
  assert.deepEqual(await allEvents(open(t, second), "s"), events);
});

test("a process that is killed in the middle, 20 times over, leaves the file sound, and a whole backup or none", async (t) => {
  const folder = directory(t);
  const made = withRows(t, folder, 60_000);
  await made.ready();
  await made.close();
  const filename = join(folder, "sessions.db");
  const path = join(folder, "backup.db");
  const acknowledged = new Map<number, number>();
  let killedWhileCopying = 0;
  let killedWhileVerifying = 0;
  let next = start(t, "back-up-until-killed.mts", [filename, path]);

  for (let round = 0; round < 20; round += 1) {
    const child = next;
    next = start(t, "back-up-until-killed.mts", [filename, path]);
    // In every other round there is a backup already, which must stay until there is a new one.
    if (round % 2 === 0) rmSync(path, { force: true });
    const before = new Map(acknowledged);
    const wasThere = existsSync(path);
    assert.equal(await child.next(), "loaded");
    child.send("go");
    const wanted = round % 4 < 2 ? "copying" : "verifying";
    let done = 0;
    const take = (report: Report) => {
      if ("acknowledged" in report) acknowledged.set(...report.acknowledged);
      if ("done" in report) done += 1;
      return "progress" in report && report.progress.phase === wanted;
    };
    while (!take(await child.next<Report>()));
    await new Promise((resolve) => setTimeout(resolve, randomInt(0, 8)));
    child.kill("SIGKILL");
    await child.ended;
    child.rest<Report>().forEach(take);
    if (partials(folder).length > 0) {
      if (wanted === "copying") killedWhileCopying += 1;
      else killedWhileVerifying += 1;
      for (const name of partials(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
    }
    // The one before was removed by this round's first backup.
    assert.ok(partials(folder).length <= 1, String(readdirSync(folder)));

    if (done > 0 || wasThere) assert.ok(existsSync(path));
    if (existsSync(path)) {
      checkSound(path);
      if (done > 0) checkHolds(path, before);
    }
    checkHolds(filename, acknowledged);
  }
  assert.ok(killedWhileCopying > 3 && killedWhileVerifying > 3, `${killedWhileCopying}, ${killedWhileVerifying}`);

  const driver = open(t, filename);
  await driver.backup(path, { overwrite: true });
  assert.deepEqual(partials(folder), []);
  await driver.close();
  checkSound(path);
  checkHolds(path, acknowledged);
  const database = new Database(filename);
  assert.deepEqual(database.pragma("integrity_check"), [{ integrity_check: "ok" }]);
  database.close();
});

/** Each session has its events up to the one that was acknowledged. */
function checkHolds(file: string, acknowledged: Map<number, number>): void {
  const database = new Database(file);
  const count = database.prepare("SELECT count(*) FROM events WHERE session_id = ? AND event_index <= ?").pluck();
  try {
    for (const [session, index] of acknowledged) assert.equal(count.get(SESSIONS[session], index), index);
  } finally {
    database.close();
  }
}

describe("what ends it", () => {
  for (const phase of ["copying", "verifying"] as const) {
    test(`its signal, while it is ${phase}: there is no backup, and nothing left of it`, async (t) => {
      const folder = directory(t);
      const driver = withRows(t, folder, 300_000);
      const controller = new AbortController();
      const reason = new Error("enough");
      const onProgress = (progress: BackupProgress) => {
        if (progress.phase === phase) controller.abort(reason);
      };
      const path = join(folder, "backup.db");
      await assert.rejects(driver.backup(path, { onProgress, signal: controller.signal }), {
        name: "AbortError",
        cause: reason,
      });
      await driver.close();
      assert.deepEqual(readdirSync(folder), ["sessions.db"]);
    });
  }

  test("a signal that was aborted before: nothing is begun", async (t) => {
    const folder = directory(t);
    const driver = open(t, join(folder, "sessions.db"));
    const signal = AbortSignal.abort();
    await assert.rejects(driver.backup("/no/such/directory/a", { signal }), { name: "AbortError" });
  });

  test("close, which waits until nothing is left of it", async (t) => {
    const folder = directory(t);
    const driver = await filled(t, folder, 16);
    let closing: Promise<void> | undefined;
    const onProgress = () => void (closing ??= driver.close());
    await assert.rejects(driver.backup(join(folder, "backup.db"), { onProgress }), { code: "ERR_PERSIST_CLOSED" });
    await closing;
    // The log was folded into the file, so the backup's connection was closed before the last one.
    assert.deepEqual(readdirSync(folder), ["sessions.db"]);
    await assert.rejects(driver.backup(join(folder, "backup.db")), { code: "ERR_PERSIST_CLOSED" });
  });

  test("a full disk: it is told, nothing is left, and the backup of before stays", async (t) => {
    const driver = await filled(t, directory(t), 8);
    await onSmallDisk(t, "4m", async (folder) => {
      const path = join(folder, "backup.db");
      writeFileSync(path, "the one before");
      await assert.rejects(driver.backup(path, { overwrite: true }), (error: Error & { code: string }) => {
        assert.equal(error.code, "ERR_PERSIST_FULL");
        assert.match(error.message, /the disk is full; nothing was left of the backup, make room and call again$/);
        return true;
      });
      assert.deepEqual(readdirSync(folder), ["backup.db"]);
      assert.equal(readFileSync(path, "utf8"), "the one before");
    });
  });

  test("damage of the database, which the copy then has", async (t) => {
    const folder = directory(t);
    await (await filled(t, folder, 2)).close();
    const filename = join(folder, "sessions.db");
    const bytes = readFileSync(filename);
    // All but the first pages, which say which tables there are.
    bytes.fill(0xaa, 16 * 4096);
    writeFileSync(filename, bytes);
    const path = join(folder, "backup.db");
    await assert.rejects(open(t, filename).backup(path), { code: "ERR_PERSIST_CORRUPT", message: /copy is damaged/ });
    assert.equal(existsSync(path), false);
    assert.deepEqual(partials(folder), []);
  });
});

describe("arguments", () => {
  for (const [what, wrong, kind] of NOT_STRINGS) {
    test(`a path that is ${what} is refused`, async (t) => {
      await refused(() => open(t, ":memory:").backup(wrong as string), /^path must be a string, it is /, kind);
    });
  }

  test("wrong and unknown options are refused", async (t) => {
    const path = join(directory(t), "backup.db");
    const refuses = (options: unknown, message: RegExp) =>
      refused(() => open(t, ":memory:").backup(path, options as BackupOptions), message);
    await refuses({ overwrite: 1 }, /^options\.overwrite must be a boolean, it is a number$/);
    await refuses({ signal: {} }, /^options\.signal must be an AbortSignal$/);
    await refuses({ onProgress: 1 }, /^options\.onProgress must be a function$/);
    await refuses(
      { force: true },
      /^options\.force is not a field of backup; the fields are overwrite, onProgress, signal$/,
    );
    assert.equal(existsSync(path), false);
  });
});
