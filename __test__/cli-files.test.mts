/** What the command line does with the files of SQLite: `backup`, `vacuum`, and Ctrl-C in the middle of either. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";

import { SQLiteSessionPersistDriver } from "../index.js";
import { begin, objects, run } from "./support/command-line.mts";
import { fill } from "./support/deletion.mts";
import { directory } from "./support/directory.mts";
import { allEvents, largeEventAt, sessionOf } from "./support/records.mts";
import { asOwner } from "./support/sqlite/layouts.mts";

const ENDED = { code: 130, stdout: "", stderr: "ended; nothing is half done, run it again to go on\n" };

/** With so many events a command takes long enough on every machine. */
const MOST = 20_000;

/** Stores a session with so many events of 20,000 bytes. */
async function fillLarge(driver: SQLiteSessionPersistDriver, id: string, events: number): Promise<void> {
  await driver.updateSession(sessionOf(id));
  const indexes = Array.from({ length: events }, (_, number) => number + 1);
  await Promise.all(indexes.map((index) => driver.insertEvent(id, largeEventAt(id, index, 20_000))));
}

async function made(t: TestContext, make: (driver: SQLiteSessionPersistDriver) => Promise<unknown>) {
  const folder = directory(t);
  const store = path.join(folder, "store.db");
  const driver = new SQLiteSessionPersistDriver({ filename: store });
  await make(driver);
  await driver.close();
  return { folder, store };
}

test("backup: a copy that can be opened; what is there is replaced with --overwrite and --yes alone", async (t) => {
  const { folder, store } = await made(t, (driver) => fill(driver, "a"));
  const copy = path.join(folder, "copy.db");
  const backup = ["backup", copy, "--store", store];
  const first = await run([...backup, "--json"]);
  assert.deepEqual(objects(first), [{ bytes: statSync(copy).size }]);
  assert.equal(statSync(copy).mode & 0o777, 0o600);
  const taken = await run(backup);
  assert.match(taken.stderr, /^error: there is a file at .*copy\.db already: .* replace it with --overwrite\n$/);
  const asked = await run([...backup, "--overwrite"]);
  assert.match(asked.stderr, /^error: This replaces the file .*copy\.db by a copy of .*store\.db: add --yes to agree/);
  writeFileSync(copy, "something else");
  const refused = await run([...backup, "--overwrite"]);
  assert.deepEqual([taken.code, asked.code, refused.code, readFileSync(copy, "utf8")], [2, 2, 2, "something else"]);
  const replaced = await run([...backup, "--overwrite", "--yes"]);
  assert.match(replaced.stdout, /^\d.* copied to .*copy\.db\n$/);
  assert.equal((await run([...backup.slice(0, 2), "--store", copy, "--overwrite", "--yes"])).code, 2);
  const driver = new SQLiteSessionPersistDriver({ filename: copy });
  t.after(() => driver.close());
  assert.equal((await allEvents(driver, "a")).length, 3);
});

test("backup: Ctrl-C in the middle leaves nothing, and a second run finishes", async (t) => {
  // A machine may be done before the signal comes: then there is more to do.
  for (let events = 2_000; ; events *= 3) {
    const { folder, store } = await made(t, (driver) => fillLarge(driver, "a", events));
    const copies = directory(t);
    const backup = begin(["backup", path.join(copies, "copy.db"), "--store", store]);
    await backup.until(() => readdirSync(copies).length > 0).catch(() => "it is done");
    backup.kill("SIGINT");
    const outcome = await backup.ended;
    if (outcome.code === 0 && events < MOST) continue;
    assert.deepEqual(outcome, ENDED);
    assert.deepEqual(readdirSync(copies), []);
    assert.equal((await run(["backup", path.join(copies, "copy.db"), "--store", store])).code, 0);
    assert.deepEqual(readdirSync(copies), ["copy.db"]);
    assert.ok(readdirSync(folder).includes("store.db"));
    break;
  }
});

test("vacuum: Ctrl-C in the middle leaves a sound file, and a second run finishes", async (t) => {
  for (let events = 1_000; ; events *= 3) {
    const { store } = await made(t, async (driver) => {
      await fillLarge(driver, "first", events);
      await fillLarge(driver, "last", events);
      await driver.deleteSession("first");
    });
    const free = () => asOwner(store, (database) => database.pragma("freelist_count", { simple: true }) as number);
    const before = free();
    assert.ok(before > 0);
    const vacuum = begin(["vacuum", "--yes", "--store", store]);
    await vacuum.until(() => free() !== before).catch(() => "it is done");
    vacuum.kill("SIGINT");
    const outcome = await vacuum.ended;
    const rest = free();
    // The step that was under way may have been the last.
    if ((outcome.code === 0 || rest === 0) && events < MOST) continue;
    assert.deepEqual(outcome, ENDED);
    assert.ok(rest > 0 && rest < before, `${rest} of ${before} pages are free`);
    const second = await run(["vacuum", "--yes", "--json", "--store", store]);
    assert.ok(objects<{ bytes: number }>(second)[0]!.bytes > 0);
    assert.equal(free(), 0);
    assert.equal(
      asOwner(store, (database) => database.pragma("integrity_check", { simple: true })),
      "ok",
    );
    break;
  }
});
