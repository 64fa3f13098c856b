/** Checkpoints of SQLite: the write-ahead log stays small whoever reads, and is left alone for a program that wants all of it. */
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import Database from "better-sqlite3";

import { SQLiteSessionPersistDriver } from "../index.js";
import { directory } from "./support/directory.mts";
import { start } from "./support/process.mts";
import { allEvents, eventAt, largeEventAt, sessionOf } from "./support/records.mts";
import { open } from "./support/sqlite/refusals.mts";

const MIB = 1 << 20;

/** Writes so many MiB to 32 sessions at once; `look` is called after each of their rounds. */
async function write(driver: SQLiteSessionPersistDriver, mebibytes: number, look = () => {}): Promise<void> {
  for (let index = 1; index <= mebibytes / 2; index += 1) {
    const sessions = Array.from({ length: 32 }, (_, number) => `s-${number}`);
    await Promise.all(sessions.map((session) => driver.insertEvent(session, largeEventAt(session, index, MIB / 16))));
    look();
  }
}

test("the log begins anew though somebody always reads: in another process, followers, and readers of pages", async (t) => {
  const filename = join(directory(t), "sessions.db");
  const driver = open(t, filename);
  await driver.ready();
  const other = start(t, "read-in-turns.mts", [filename, "20"]);
  assert.equal(await other.next(), "reading");

  const controller = new AbortController();
  const followed = (async () => {
    const seen: number[] = [];
    try {
      for await (const { eventIndex } of driver.tailEvents({ sessionId: "s-0", signal: controller.signal })) {
        seen.push(eventIndex);
      }
    } catch (error) {
      assert.equal((error as Error).name, "AbortError");
    }
    return seen;
  })();
  let reading = true;
  const pages = [1, 2, 3].map(async (number) => {
    while (reading) await driver.listEvents({ sessionId: `s-${number}`, limit: 10 });
  });

  let largest = 0;
  await write(driver, 192, () => (largest = Math.max(largest, statSync(`${filename}-wal`).size)));
  reading = false;
  await Promise.all(pages);
  controller.abort();
  await followed;
  // Without that it would be as large as all that was written.
  assert.ok(largest < 150 * MIB, `the log had ${largest} bytes`);
  assert.equal((await allEvents(driver, "s-31", 100)).length, 96);
});

test('with checkpoints: "external" the log is never copied into the file, also not by whoever closes last', async (t) => {
  const folder = directory(t);
  const sizes: Record<string, { file: number; log: number; logAtEnd: number }> = {};
  for (const checkpoints of ["automatic", "external"] as const) {
    const filename = join(folder, `${checkpoints}.db`);
    const driver = open(t, filename, { checkpoints });
    const reader = open(t, filename, { checkpoints, readonly: true });
    await write(driver, 40);
    assert.equal((await allEvents(reader, "s-0", 5)).length, 20);
    const [file, log] = [statSync(filename).size, statSync(`${filename}-wal`).size];
    await reader.close();
    await driver.close();
    const logAtEnd = existsSync(`${filename}-wal`) ? statSync(`${filename}-wal`).size : 0;
    sizes[checkpoints] = { file, log, logAtEnd };
  }
  const { automatic, external } = sizes as Record<"automatic" | "external", (typeof sizes)[string]>;
  assert.ok(automatic.file > 16 * MIB && automatic.logAtEnd === 0, JSON.stringify(automatic));
  assert.ok(external.file < MIB && external.log > 40 * MIB, JSON.stringify(external));
  assert.equal(external.logAtEnd, external.log);

  // The other program may do it at any time.
  const filename = join(folder, "external.db");
  const other = new Database(filename);
  assert.deepEqual(other.pragma("wal_checkpoint(TRUNCATE)"), [{ busy: 0, log: 0, checkpointed: 0 }]);
  other.close();
  const driver = open(t, filename, { checkpoints: "external" });
  await driver.insertEvent("s-0", eventAt("s-0", 21));
  assert.equal((await allEvents(driver, "s-0", 5)).length, 21);

  // Work in steps does not do it in passing either.
  await Promise.all(Array.from({ length: 32 }, (_, number) => driver.updateSession(sessionOf(`s-${number}`))));
  const before = statSync(filename);
  assert.equal((await driver.pruneSessions({ idleBefore: Date.now() })).sessions, 32);
  await driver.vacuum();
  await driver.compactSessions();
  await driver.rebuild();
  await driver.backup(join(folder, "backup.db"));
  await driver.close();
  const after = statSync(filename);
  assert.deepEqual([after.size, after.mtimeMs], [before.size, before.mtimeMs]);
});
