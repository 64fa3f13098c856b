/** Deleting sessions of an SQLite file that other processes write to, and being killed while doing so. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import Database from "better-sqlite3";

import { SQLiteSessionPersistDriver } from "../index.js";
import { countOf, DAY, DELETED, fill, NOTHING } from "./support/deletion.mts";
import { directory } from "./support/directory.mts";
import { start } from "./support/process.mts";
import { eventAt, sessionOf } from "./support/records.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";

function open(t: TestContext, filename: string, options = {}): SQLiteSessionPersistDriver {
  const driver = new SQLiteSessionPersistDriver({ filename, ...options });
  t.after(() => driver.close());
  return driver;
}

test("a process that writes to the session is refused at once, and nothing of it is left", async (t) => {
  const filename = join(directory(t), "shared.db");
  const driver = open(t, filename);
  const writers = [1, 2].map(() => start(t, "write-until-refused.mts"));
  for (const writer of writers) {
    await writer.next();
    writer.send({ options: { filename }, session: "s" });
  }
  for (const writer of writers) await writer.next();
  await driver.insertEvent("other", eventAt("other", 1));
  assert.equal(await driver.deleteSession("s"), true);
  assert.deepEqual(await countOf(driver, "s"), NOTHING);
  for (const writer of writers) {
    let refused: unknown;
    do refused = await writer.next();
    while (refused === "writing");
    const code = DELETED.code;
    assert.deepEqual(refused, { insertEvent: code, updateSession: code, setLabels: code });
  }
  assert.deepEqual(await countOf(driver, "s"), NOTHING);
  assert.deepEqual(await countOf(driver, "other"), { ...NOTHING, events: 1 });
});

test("followers in another driver end", async (t) => {
  const filename = join(directory(t), "followed.db");
  const [driver, other] = [open(t, filename), open(t, filename)];
  await fill(driver, "s", 1);
  const tail = other.tailEvents({ sessionId: "s" });
  await tail.next();
  const end = tail.next();
  await driver.deleteSession("s");
  assert.deepEqual(await end, { done: true, value: undefined });
});

test("a process that is killed while it deletes has deleted each session as a whole, or nothing of it", async (t) => {
  const filename = join(directory(t), "killed.db");
  const sessions = Array.from({ length: 60 }, (_, number) => `s-${number}`);
  {
    await using driver = new SQLiteSessionPersistDriver({ filename, durability: "normal" });
    for (const session of sessions) await fill(driver, session, 100);
  }
  const deleter = start(t, "delete-sessions.mts");
  await deleter.next();
  deleter.send({ options: { filename }, sessions });
  for (let reports = 0; reports < 10; reports += 1) await deleter.next();
  deleter.kill("SIGKILL");
  await deleter.ended;
  const told = new Set([...sessions.slice(0, 10), ...deleter.rest<string>()]);

  const database = new Database(filename);
  t.after(() => database.close());
  assert.equal(database.pragma("integrity_check", { simple: true }), "ok");
  const count = database.prepare(`SELECT (SELECT count(*) FROM sessions WHERE id = $id) AS records,
      (SELECT count(*) FROM events WHERE session_id = $id) AS events,
      (SELECT count(*) FROM session_labels WHERE session_id = $id) AS labels,
      (SELECT count(*) FROM deleted_sessions WHERE id = $id) AS tombstones`);
  for (const id of sessions) {
    const found = count.get({ id }) as { tombstones: number };
    if (told.has(id)) assert.equal(found.tombstones, 1, id);
    const whole = { records: 1, events: 100, labels: 1, tombstones: 0 };
    assert.deepEqual(found, found.tombstones ? { ...NOTHING, tombstones: 1 } : whole, id);
  }
});

test("a deleted session is kept out for thirty days, then a deletion removes what is kept of it", async (t) => {
  const filename = join(directory(t), "old.db");
  const driver = open(t, filename);
  const other = await otherProcess(t, filename);
  const age = (session: string, days: number) =>
    other.run(
      `UPDATE deleted_sessions SET deleted_at = ${Date.now() - days * DAY} WHERE id = '${session}' RETURNING 1`,
    );
  for (const session of ["old", "young"]) await driver.deleteSession(session);
  await age("old", 30.1);
  await age("young", 29.9);

  // It does not count any more, though it is there.
  await driver.insertEvent("old", eventAt("old", 1));
  await driver.updateSession(sessionOf("old"));
  await driver.setLabels("old", { user: "u2" });
  await assert.rejects(driver.insertEvent("young", eventAt("young", 1)), DELETED);
  await assert.rejects(driver.setLabels("young", { user: "u2" }), DELETED);

  assert.equal(await driver.deleteSession("another"), false);
  assert.deepEqual(await other.run("SELECT id FROM deleted_sessions ORDER BY id"), [
    { id: "another" },
    { id: "young" },
  ]);
  assert.deepEqual(await countOf(driver, "old"), { records: 1, events: 1, labels: 1 });
  await other.end();
});

test("what was reassigned in a session is forgotten with it", async (t) => {
  const filename = join(directory(t), "forgotten.db");
  const driver = open(t, filename);
  const other = await otherProcess(t, filename);
  await driver.insertEvent("s", eventAt("s", 5));
  const moved = eventAt("s", 5, { id: "moved" });
  await driver.insertEvent("s", moved);
  assert.equal(moved.eventIndex, 6);
  await driver.deleteSession("s");
  await other.run("DELETE FROM deleted_sessions RETURNING 1");
  const events = [7, 2].map((index) => eventAt("s", index));
  for (const event of events) await driver.insertEvent("s", event);
  assert.deepEqual(
    events.map(({ eventIndex }) => eventIndex),
    [7, 2],
  );
  await other.end();
});

for (const [what, body, message] of [
  ["forbids it", "SELECT RAISE(ABORT, 'never')", /a rule of the table forbids it/],
  ["ignores it", "SELECT RAISE(IGNORE)", /a trigger of the owner of events kept its rows; nothing was deleted/],
] as const) {
  test(`where a trigger of the owner ${what}, nothing is deleted`, async (t) => {
    const filename = join(directory(t), "trigger.db");
    const driver = open(t, filename);
    await fill(driver, "s");
    const other = await otherProcess(t, filename);
    await other
      .run(`CREATE TRIGGER keep BEFORE DELETE ON events WHEN old.event_index = 2 BEGIN ${body}; END`)
      .catch(() => {});
    await assert.rejects(driver.deleteSession("s"), { code: "ERR_PERSIST_INVALID_ARGUMENT", message });
    assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 3, labels: 1 });
    await driver.insertEvent("s", eventAt("s", 4));
    await other.end();
  });
}

test("a driver that only reads is refused", async (t) => {
  const filename = join(directory(t), "readonly.db");
  await open(t, filename).ready();
  await assert.rejects(open(t, filename, { readonly: true }).deleteSession("s"), { code: "ERR_PERSIST_READONLY" });
});

test("no event of a deleted session can be found in the file once the log is gone", async (t) => {
  const filename = join(directory(t), "traces.db");
  const secret = "SECRET-OF-THE-SESSION";
  const large = (session: string, index: number) =>
    eventAt(session, index, { payload: { text: `${secret} ${"x".repeat((index * 997) % 9_000)} ${secret}` } as never });
  {
    await using driver = new SQLiteSessionPersistDriver({ filename, durability: "normal" });
    for (let index = 1; index <= 100; index += 1) {
      await Promise.all([
        driver.insertEvent("s", large("s", index)),
        driver.insertEvent("s", large("s", Math.ceil(index / 2))),
        driver.insertEvent("other", eventAt("other", index)),
      ]);
    }
  }
  assert.ok(readFileSync(filename).includes(secret));
  {
    await using driver = new SQLiteSessionPersistDriver({ filename });
    assert.equal(await driver.deleteSession("s"), true);
  }
  assert.ok(!existsSync(`${filename}-wal`), "the last one to close the file has removed its log");
  assert.ok(!readFileSync(filename).includes(secret));
});
