/** Compacting sessions of an SQLite file: down to its rows, on tables of the field, beside triggers, and on a full disk. */
import assert from "node:assert/strict";
import { rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { SQLiteSessionPersistDriver } from "../index.js";
import { compaction, type Place, type Row } from "./suites/compaction.mts";
import { directory } from "./support/directory.mts";
import { onSmallDisk } from "./support/small-disk.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { adopted, asOwner, EVENTS_TEXT, made, ORDER_INDEX, SESSIONS_0_4 } from "./support/sqlite/layouts.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";

const quoted = (value: string | number | null) =>
  typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : `${value ?? "NULL"}`;

async function makePlace(t: TestContext): Promise<Place> {
  const filename = join(directory(t), "compacted.db");
  {
    await using driver = new SQLiteSessionPersistDriver({ filename });
    await driver.ready();
  }
  const other = await otherProcess(t, filename);
  return {
    storage: { driver: "SQLite", options: { filename } },
    sql: async (text) => void (await other.run(text)),
    async store(session, rows) {
      if (rows.length === 0) return;
      const values = rows.map(({ index, id, createdAt, connection, sender, payload, extra }) =>
        [id, index, session, createdAt, connection, sender, payload, extra].map(quoted).join(", "),
      );
      await other.run(
        `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json, extra_json)
         VALUES (${values.join("), (")})`,
      );
    },
    rows: async (session) =>
      (await other.run(
        `SELECT event_index AS "index", id, created_at AS createdAt, connection_id AS connection, sender, payload_json AS payload,
           extra_json AS extra FROM events WHERE session_id = ${quoted(session)} ORDER BY event_index`,
      )) as unknown as Row[],
  };
}

compaction("SQLite", makePlace);

const textOf = (payload: unknown): string => (payload as any).params.update.content.text;

async function fill(driver: SQLiteSessionPersistDriver, events: number): Promise<void> {
  await Promise.all([
    driver.updateSession(sessionOf("s", { destroyedAt: 1 })),
    ...Array.from({ length: events }, (_, at) => driver.insertEvent("s", eventAt("s", at + 1))),
  ]);
}

for (const [what, body, message] of [
  ["forbids it", "SELECT RAISE(ABORT, 'never')", /a rule of the table forbids it/],
  ["ignores it", "SELECT RAISE(IGNORE)", /a trigger of the owner of events kept its rows/],
] as const) {
  for (const event of ["DELETE", "UPDATE"]) {
    test(`where a trigger on ${event} of the owner ${what}, nothing is joined`, async (t) => {
      const filename = join(directory(t), "trigger.db");
      await using driver = new SQLiteSessionPersistDriver({ filename });
      await fill(driver, 4);
      const before = await allEvents(driver, "s");
      const other = await otherProcess(t, filename);
      await other.run(`CREATE TRIGGER keep BEFORE ${event} ON events WHEN old.event_index > 1 BEGIN ${body}; END`);
      await assert.rejects(driver.compactSession("s"), { code: "ERR_PERSIST_INVALID_ARGUMENT", message });
      assert.deepEqual(await allEvents(driver, "s"), before);
      await driver.insertEvent("s", eventAt("s", 5));
      await other.end();
    });
  }
}

test("a table of the field is compacted where it is, and values that no driver writes stay alone", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}, mine TEXT); ${ORDER_INDEX}`,
  );
  const payload = JSON.stringify(eventAt("s", 1).payload);
  asOwner(filename, (database) => {
    database.exec(
      "INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, destroyed_at) VALUES ('s', 'a', 'b', 'c', 1, 2)",
    );
    const insert = database.prepare("INSERT INTO events VALUES (?, ?, 's', 1, ?, 'agent', ?, ?)");
    for (let index = 1; index <= 5; index += 1) insert.run(`e${index}`, index, "c", payload, `mine ${index}`);
    for (const index of [6, 7]) insert.run(`e${index}`, index, Buffer.from("c"), payload, null);
    for (const index of [8, 9]) insert.run(`e${index}`, index, "c", Buffer.from(payload), null);
  });
  const done = await adopted(t, filename, (driver) => driver.compactSession("s"));
  assert.deepEqual([done.events, done.removed], [9, 4]);
  assert.deepEqual(
    asOwner(filename, (database) => database.prepare("SELECT event_index, mine FROM events ORDER BY 1").raw().all()),
    [
      [5, "mine 5"],
      [6, null],
      [7, null],
      [8, null],
      [9, null],
    ],
  );
});

test("a driver that only reads counts what there is to join, and joins nothing", async (t) => {
  const filename = join(directory(t), "readonly.db");
  await using driver = new SQLiteSessionPersistDriver({ filename });
  await fill(driver, 4);
  await using reader = new SQLiteSessionPersistDriver({ filename, readonly: true });
  assert.equal((await reader.compactSession("s", { dryRun: true })).removed, 3);
  await assert.rejects(reader.compactSession("s"), { code: "ERR_PERSIST_READONLY" });
  assert.equal((await reader.compactSession("s", { dryRun: true })).removed, 3);
});

test("on a full disk it ends with ERR_PERSIST_FULL, nothing is lost or half joined, and it goes on once there is room", async (t) => {
  await onSmallDisk(t, "6m", async (folder) => {
    const filename = join(folder, "full.db");
    const driver = new SQLiteSessionPersistDriver({ filename });
    t.after(() => driver.close());
    await fill(driver, 3_000);
    const said = async () => (await allEvents(driver, "s")).map(({ payload }) => textOf(payload)).join("");
    const before = await said();
    // Room for some steps, not for all.
    const ballast = join(folder, "ballast");
    assert.throws(() => writeFileSync(ballast, Buffer.alloc(6 << 20)), { code: "ENOSPC" });
    truncateSync(ballast, statSync(ballast).size - (200 << 10));
    await assert.rejects(driver.compactSession("s"), { code: "ERR_PERSIST_FULL", sqliteCode: "SQLITE_FULL" });
    assert.equal(await said(), before);
    const { items } = await driver.listEvents({ sessionId: "s", limit: 3_000 });
    assert.ok(items.length > 1);
    rmSync(ballast);
    assert.equal((await driver.compactSession("s")).removed, items.length - 1);
    assert.equal(await said(), before);
    await driver.close();
    asOwner(filename, (database) => assert.deepEqual(database.pragma("integrity_check"), [{ integrity_check: "ok" }]));
  });
});
