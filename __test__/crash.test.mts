/** Crashes: what was acknowledged before SIGKILL is in the file, in order, and the file is sound. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import Database from "better-sqlite3";

import { SQLiteSessionPersistDriver } from "../index.js";
import { allEvents, eventAt } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import { start } from "./support/process.mts";
import { type Acknowledged, SESSIONS } from "./support/programs/write-until-killed.mts";

const ROUNDS = 20;

test("every acknowledged write survives SIGKILL at a random moment, 20 times over", async (t) => {
  const folder = directory(t);
  const file = join(folder, "crashed.db");
  const events = SESSIONS.map(() => 0);
  const records = SESSIONS.map(() => 0);
  let killedInMidWrite = 0;
  let next = start(t, "write-until-killed.mts", [file]);

  for (let round = 0; round < ROUNDS; round += 1) {
    const writer = next;
    // The next writer loads while this one writes; it opens the file only when it is told to.
    next = start(t, "write-until-killed.mts", [file]);
    const acknowledged: Acknowledged[] = [];

    assert.equal(await writer.next(), "loaded");
    writer.send("go");
    assert.equal(await writer.next(), "opening");
    // One round in five dies while it opens the file, or creates it: the first among them.
    const enough = round % 5 === 0 ? 0 : randomInt(1, 2_000);
    while (acknowledged.length < enough) acknowledged.push(...(await writer.next<Acknowledged[]>()));
    await new Promise((resolve) => setTimeout(resolve, randomInt(0, 8)));
    writer.kill("SIGKILL");
    assert.deepEqual(await writer.ended.then(({ code, signal }) => ({ code, signal })), {
      code: null,
      signal: "SIGKILL",
    });
    acknowledged.push(...writer.rest<Acknowledged[]>().flat());
    if (acknowledged.length > 0) killedInMidWrite += 1;

    for (const [session, index] of acknowledged) {
      if (index > 0) events[session] = Math.max(events[session], index);
      else records[session] = Math.max(records[session], -index);
    }
    checkSoundness(copyOf(file, join(folder, `copy-${round}.db`)));
    await checkContent(t, file, events, records);
    checkSoundness(file);
  }

  assert.ok(killedInMidWrite >= ROUNDS / 2, `only ${killedInMidWrite} writers had written when they were killed`);
});

/** A copy of the files as the crash left them, before a driver of ours has recovered anything. */
function copyOf(file: string, copy: string): string {
  for (const suffix of ["", "-wal"]) if (existsSync(file + suffix)) copyFileSync(file + suffix, copy + suffix);
  return copy;
}

/** Only ever called while no driver of ours is open on the file. */
function checkSoundness(file: string): void {
  const database = new Database(file);
  const verdict = database.pragma("integrity_check");
  database.close();
  assert.deepEqual(verdict, [{ integrity_check: "ok" }]);
}

async function checkContent(t: TestContext, file: string, events: number[], records: number[]): Promise<void> {
  const driver = new SQLiteSessionPersistDriver({ filename: file });
  t.after(() => driver.close());
  for (const [number, session] of SESSIONS.entries()) {
    const stored = await allEvents(driver, session);
    assert.ok(stored.length >= events[number], `${session}: ${stored.length} events of ${events[number]}`);
    // Each session awaits one write before the next, so nothing may be missing in between.
    for (const [position, event] of stored.entries()) assert.deepEqual(event, eventAt(session, position + 1));
    const record = await driver.getSession(session);
    const named = Number(record?.lastConnectionId ?? 0);
    assert.ok(named >= records[number], `${session}: the record names ${named}, acknowledged was ${records[number]}`);
  }
  await driver.close();
}
