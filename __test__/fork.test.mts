/** Forks in SQLite files: large ones, beside other processes, killed in the middle, and of tables that others have made. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import Database from "better-sqlite3";

import { SQLiteSessionPersistDriver } from "../index.js";
import { directory } from "./support/directory.mts";
import { assertAllOrNothing, assertPrefix, fill } from "./support/forks.mts";
import { start } from "./support/process.mts";
import type { Outcome } from "./support/programs/fork-on-demand.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import {
  adopted,
  asOwner,
  EVENTS_OLDER,
  EVENTS_TEXT,
  made,
  SESSIONS_0_2,
  SESSIONS_0_4,
} from "./support/sqlite/layouts.mts";

function open(t: TestContext, filename: string, options = {}): SQLiteSessionPersistDriver {
  const driver = new SQLiteSessionPersistDriver({ filename, ...options });
  t.after(() => driver.close());
  return driver;
}

const storage = (filename: string) => JSON.stringify({ driver: "SQLite", options: { filename } });

test("100,000 events are copied, under a table prefix too", async (t) => {
  const filename = join(directory(t), "large.db");
  const options = { filename, tablePrefix: "agents_" };
  const forked = async (act: (driver: SQLiteSessionPersistDriver) => Promise<unknown>) => {
    await using driver = new SQLiteSessionPersistDriver(options);
    await act(driver);
  };
  await forked((driver) => fill(driver, "s", 1));
  asOwner(filename, (database) =>
    database.exec(
      `WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
       INSERT INTO agents_events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
         SELECT 's-' || n, n, 's', n, 'c', 'agent', '{"n": ' || n || '}' FROM numbers`,
    ),
  );
  await forked((driver) => driver.forkSession("s", { id: "copy" }));
  asOwner(filename, (database) => {
    const counts = database.prepare(
      `SELECT count(*) AS events, sum(id GLOB '????????-????-4???-????-????????????') AS uuids, count(DISTINCT id) AS ids
       FROM agents_events WHERE session_id = 'copy'`,
    );
    assert.deepEqual(counts.get(), { events: 100_000, uuids: 100_000, ids: 100_000 });
    const rest =
      "event_index, created_at, connection_id, sender, payload_json, extra_json FROM agents_events WHERE session_id";
    const different = database.prepare(`SELECT ${rest} = 's' EXCEPT SELECT ${rest} = 'copy'`);
    assert.deepEqual(different.all(), []);
  });
});

test("a fork that is killed in the middle is there whole, or not at all", async (t) => {
  const filename = join(directory(t), "killed.db");
  const driver = open(t, filename);
  await fill(driver, "s", 8_000);
  let next = start(t, "fork-on-demand.mts", [storage(filename)]);
  for (let round = 0; round < 2; round += 1) {
    const process = next;
    next = start(t, "fork-on-demand.mts", [storage(filename)]);
    assert.equal(await process.next(), "loaded");
    process.send({ source: "s", options: { id: `copy-${round}` } });
    assert.equal(await process.next(), "forking");
    await delay(randomInt(0, 100));
    process.kill("SIGKILL");
    await process.ended;
    await assertAllOrNothing(driver, "s", `copy-${round}`, 8_000);
    await driver.insertEvent("s", eventAt("s", 8_000));
  }
});

test("forks beside a process that writes to the source have its first events, with none missing", async (t) => {
  const filename = join(directory(t), "running.db");
  const driver = open(t, filename);
  await driver.updateSession(sessionOf("session-0"));
  const writer = start(t, "write-until-killed.mts", [filename]);
  await writer.next();
  writer.send("go");
  const through: number[] = [];
  // Five, and more until the source has grown between the first and the last.
  while (through.length < 5 || through.at(-1) === through[0]) {
    while (!Array.isArray(await writer.next()));
    const { id } = await driver.forkSession("session-0", { id: `copy-${through.length}` });
    // What was stored first may be of another session.
    through.push(Number((await driver.getLabels(id))["forkedThrough"] ?? 0));
  }
  writer.kill("SIGKILL");
  await writer.ended;
  for (const [round, index] of through.entries()) {
    const events = await allEvents(driver, `copy-${round}`);
    assert.equal(events.length, index);
    assert.deepEqual(
      events.map((event) => ({ ...event, id: "" })),
      events.map((_, at) => eventAt("session-0", at + 1, { id: "", sessionId: `copy-${round}` })),
    );
  }
});

test("of several processes that fork onto one id at once exactly one does", async (t) => {
  const filename = join(directory(t), "raced.db");
  const driver = open(t, filename);
  await fill(driver, "s", 2_000);
  const processes = [0, 1].map(() => start(t, "fork-on-demand.mts", [storage(filename)]));
  for (const process of processes) assert.equal(await process.next(), "loaded");
  for (let round = 0; round < 5; round += 1) {
    for (const process of processes) process.send({ source: "s", options: { id: `copy-${round}` } });
    const outcomes = await Promise.all(
      processes.map(async (process) => {
        assert.equal(await process.next(), "forking");
        return JSON.stringify(await process.next<Outcome>());
      }),
    );
    const refused = JSON.stringify({ code: "ERR_PERSIST_INVALID_ARGUMENT" });
    assert.deepEqual(outcomes.sort(), [refused, JSON.stringify({ id: `copy-${round}` })]);
    assert.equal(await assertPrefix(driver, "s", `copy-${round}`), 2_000);
  }
});

test("the id of a session that was deleted is refused", async (t) => {
  const filename = join(directory(t), "deleted.db");
  await adopted(t, filename, async (driver) => fill(driver, "s", 1));
  asOwner(filename, (database) =>
    database.prepare("INSERT INTO deleted_sessions (id, deleted_at) VALUES ('gone', ?)").run(Date.now()),
  );
  await adopted(t, filename, async (driver) => {
    await assert.rejects(driver.forkSession("s", { id: "gone" }), {
      code: "ERR_PERSIST_INVALID_ARGUMENT",
      message:
        /^session "s" cannot be forked to "gone": a session with that id was deleted less than 30 days ago; pass/,
    });
    await assert.rejects(driver.forkSession("gone"), { code: "ERR_PERSIST_NOT_FOUND" });
  });
});

const ROWS = (ids: string) => `
  INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, destroyed_at)
    VALUES ('s', 'mock', 'as', 'c', 1, 2);
  INSERT INTO events (${ids}session_id, created_at, connection_id, sender, payload_json)
    SELECT ${ids ? "'e-' || value, value, " : ""}'s', value, 'c', 'agent', '{"n": ' || value || '}'
    FROM json_each('[1,2,3]');`;

for (const [what, sql] of [
  [
    "with numbers as ids",
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_OLDER}); ${ROWS("")}`,
  ],
  [
    "without rowids",
    `CREATE TABLE sessions (${SESSIONS_0_4}) WITHOUT ROWID; CREATE TABLE events (${EVENTS_TEXT}) WITHOUT ROWID;
     ${ROWS("id, event_index, ")}`,
  ],
  [
    "with columns and triggers of the owner's",
    `CREATE TABLE sessions (${SESSIONS_0_4}, tenant TEXT DEFAULT 'me');
     CREATE TABLE events (${EVENTS_TEXT}, note TEXT, FOREIGN KEY (session_id) REFERENCES sessions (id));
     CREATE TABLE log (id TEXT);
     ${ROWS("id, event_index, ")}
     CREATE TRIGGER logged AFTER INSERT ON events BEGIN INSERT INTO log VALUES (new.id); END;`,
  ],
] as const) {
  test(`adopted tables ${what} are forked`, async (t) => {
    const filename = made(t, sql);
    const copies = await adopted(t, filename, async (driver) => {
      const source = await allEvents(driver, "s");
      const fork = await driver.forkSession("s", { id: "copy", throughIndex: 2 });
      const { destroyedAt: _, ...kept } = (await driver.getSession("s"))!;
      assert.deepEqual(fork, { ...kept, id: "copy" });
      const copies = await allEvents(driver, "copy");
      assert.deepEqual(
        copies,
        source
          .filter(({ eventIndex }) => eventIndex <= 2)
          .map((event, at) => ({ ...event, id: copies[at]!.id, sessionId: "copy" })),
      );
      assert.ok(copies.length > 0);
      return copies;
    });
    asOwner(filename, (database) => {
      // The payload's text is the same byte by byte, its space too.
      const texts = database
        .prepare("SELECT payload_json FROM events WHERE session_id = ? ORDER BY event_index")
        .pluck();
      assert.deepEqual(texts.all("copy"), texts.all("s").slice(0, copies.length));
      if (!what.includes("triggers")) return;
      assert.deepEqual(
        database.prepare("SELECT id FROM log ORDER BY rowid").pluck().all(),
        copies.map(({ id }) => id),
      );
    });
  });
}

test("a row that a trigger of the owner's ignores makes the fork fail whole", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${ROWS("id, event_index, ")}
     CREATE TRIGGER no_third BEFORE INSERT ON events WHEN new.event_index = 3 BEGIN SELECT RAISE(IGNORE); END;`,
  );
  await adopted(t, filename, async (driver) => {
    await assert.rejects(driver.forkSession("s", { id: "copy" }), {
      code: "ERR_PERSIST_INVALID_ARGUMENT",
      message:
        /^session "s" cannot be forked: a trigger or constraint .* ignored a row of the copy; nothing was stored$/,
    });
    assert.equal(await driver.getSession("copy"), undefined);
    assert.deepEqual(await driver.getLabels("copy"), {});
    assert.equal((await driver.forkSession("s", { id: "copy", throughIndex: 2 })).id, "copy");
  });
  assert.deepEqual(new Database(filename, { readonly: true }).pragma("integrity_check"), [{ integrity_check: "ok" }]);
});
