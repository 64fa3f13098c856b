/** `rebuild` on SQLite: every layout of the field becomes ours while others write, and a killed one leaves the old table. */
import assert from "node:assert/strict";
import { copyFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setImmediate, setTimeout as delay } from "node:timers/promises";

import type { SessionEvent } from "sandbox-agent";
import { SQLiteSessionPersistDriver } from "../index.js";
import { directory } from "./support/directory.mts";
import { start } from "./support/process.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import {
  adopted,
  asOwner,
  EVENTS_OLDER,
  EVENTS_TEXT,
  made,
  ORDER_INDEX,
  SESSIONS_0_2,
  SESSIONS_0_4,
} from "./support/sqlite/layouts.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";
import { onSmallDisk } from "./support/small-disk.mts";
import { open } from "./support/sqlite/refusals.mts";
import type { Told } from "./support/programs/rebuild.mts";
import { type Acknowledged, SESSIONS } from "./support/programs/write-until-killed.mts";

const SESSION_COUNT = 20;

/** Events in the table's own columns, of sessions `old-0` and so on. */
const fill = (count: number, id = "'e-' || n", index = "n / 20 + 1") => `
  WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ${count})
  INSERT INTO events (id, session_id, created_at, connection_id, sender, payload_json${index && ", event_index"})
  SELECT ${id}, 'old-' || (n % ${SESSION_COUNT}), n / 3, 'c', 'agent', '{"n":' || n || ',"text":"' || hex(zeroblob(100)) || '"}'
    ${index && `, ${index}`} FROM number;`;

const LAYOUTS: Record<string, (count: number) => string> = {
  "0.4": (count) =>
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${ORDER_INDEX}; ${fill(count)}`,
  "0.2, without a rowid": (count) =>
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_TEXT}) WITHOUT ROWID; ${fill(count)}`,
  "older, with numeric ids": (count) =>
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_OLDER}); ${fill(count, "n + 1", "")}`,
  "columns that allow anything, with keys of its own": (count) =>
    `CREATE TABLE sessions (${SESSIONS_0_2});
     CREATE TABLE events (id, event_index INTEGER, session_id TEXT, created_at, connection_id, sender, payload_json, UNIQUE (session_id, event_index));
     CREATE UNIQUE INDEX owners ON events (id, sender) WHERE sender = 'agent'; ${fill(count)}`,
};

async function oldEvents(driver: SQLiteSessionPersistDriver): Promise<SessionEvent[][]> {
  const sessions = Array.from({ length: SESSION_COUNT }, (_, number) => allEvents(driver, `old-${number}`, 10_000));
  return Promise.all(sessions);
}

/** All tables and triggers, and what SQLite itself says of the file. */
function structure(filename: string) {
  return asOwner(filename, (database) => ({
    integrity: database.pragma("integrity_check", { simple: true }),
    rest: database.prepare("SELECT name FROM sqlite_schema WHERE name LIKE '%rebuild%'").pluck().all(),
    indexes: database.prepare("SELECT \"unique\", origin FROM pragma_index_list('events')").all(),
    columns: database.prepare("SELECT group_concat(name) FROM pragma_table_xinfo('events')").pluck().get(),
  }));
}

const FRESH = {
  integrity: "ok",
  rest: [],
  indexes: [{ unique: 1, origin: "c" }],
  columns: "id,event_index,session_id,created_at,connection_id,sender,payload_json,extra_json",
};

for (const [layout, sql] of Object.entries(LAYOUTS)) {
  test(`the layout ${layout} becomes ours while all write, and nobody's writes are lost`, async (t) => {
    const filename = made(t, sql(10_000));
    const driver = open(t, filename);
    const before = await oldEvents(driver);
    await driver.updateSession(sessionOf("old-1"));
    const setUp = await otherProcess(t, filename);
    await setUp.run("CREATE TABLE mirror AS SELECT * FROM events WHERE 0");
    await setUp.run("CREATE UNIQUE INDEX mirror_id ON mirror (id)");
    await setUp.run("CREATE UNIQUE INDEX mirror_place ON mirror (session_id, event_index)");
    await setUp.end();
    const owner = layout.startsWith("older") ? undefined : start(t, "rewrite-events.mts", [filename]);
    const replica = start(t, "write-until-killed.mts", [filename]);
    await Promise.all([owner?.next(), replica.next()]);
    replica.send("go");
    while ((await replica.next()) === "opening");

    let rebuilt = false;
    const written: SessionEvent[] = [];
    const follower = driver.tailEvents({ sessionId: "own" });
    const followed = (async () => {
      const indexes: number[] = [];
      for await (const { eventIndex } of follower) if (indexes.push(eventIndex) && rebuilt) return indexes;
      return indexes;
    })();
    const writing = (async () => {
      for (let index = 1; !rebuilt; index += 1) {
        const event = eventAt("own", index);
        await driver.insertEvent("own", event);
        written.push(event);
        // A retry replaces what is there.
        if (index % 7 === 0) {
          written[index - 3] = { ...written[index - 3], payload: { again: index } as never };
          await driver.insertEvent("own", written[index - 3]);
        }
        if (index % 10 === 0) await driver.forkSession("old-1", { id: `fork-${index}`, throughIndex: 3 });
        if (index % 20 === 0) await driver.deleteSession(`fork-${index}`);
      }
      await driver.insertEvent("own", eventAt("own", written.length + 1));
    })();
    let progress = 0;
    const copied = await driver.rebuild({ onProgress: ({ events }) => (progress = events) });
    rebuilt = true;
    await writing;
    assert.ok(copied.events >= 10_000 && copied.bytes > 10_000 * 200, JSON.stringify(copied));
    assert.ok(progress > 0 && progress <= copied.events);
    const indexes = await followed;
    assert.deepEqual(
      indexes,
      indexes.map((_, position) => position + 1),
    );

    owner?.send("stop");
    if (owner) assert.ok((await owner.next<number>()) > 0);
    assert.deepEqual((await owner?.ended)?.code ?? 0, 0);
    replica.kill("SIGKILL");
    await replica.ended;
    assert.deepEqual((await allEvents(driver, "own")).slice(0, written.length), written);
    assert.deepEqual(await oldEvents(driver), before);
    const places = new Map<string, Set<number>>();
    for (const [number, session] of SESSIONS.entries()) {
      places.set(
        String(number),
        new Set((await allEvents(driver, session, 10_000)).map(({ eventIndex }) => eventIndex)),
      );
    }
    const acknowledged = replica.rest<Acknowledged[]>().flat();
    assert.ok(acknowledged.length > 0);
    for (const [session, index] of acknowledged) {
      if (index > 0) assert.ok(places.get(String(session))?.has(index), `event ${index} of session ${session}`);
    }
    assert.deepEqual(await driver.rebuild(), { events: 0, bytes: 0 });
    const findings = (await driver.check()).map(({ code }) => code);
    assert.deepEqual(
      findings.filter((code) => /layout|redundant|unreadable|interrupted/.test(code)),
      [],
    );
    await driver.close();
    const { integrity, rest, indexes: left, columns } = structure(filename);
    assert.deepEqual({ integrity, rest, indexes: left, columns }, FRESH);
    const names = "id, event_index, session_id, created_at, connection_id, sender, payload_json";
    const differences = asOwner(filename, (database) =>
      database
        .prepare(
          `SELECT * FROM (SELECT ${names} FROM events WHERE session_id LIKE 'owner-%' EXCEPT SELECT ${names} FROM mirror)
           UNION ALL SELECT * FROM (SELECT ${names} FROM mirror EXCEPT SELECT ${names} FROM events)`,
        )
        .all(),
    );
    assert.deepEqual(differences, []);
  });
}

test("a rebuild that is killed leaves the table as it was, or as it is to be, and the next one does the rest", async (t) => {
  const folder = directory(t);
  const base = made(t, LAYOUTS["0.4"](3_000));
  const driver = open(t, base);
  const before = await oldEvents(driver);
  await driver.close();
  /** Rebuilds a copy, and kills after a part of the time that it takes; gives that time when it is not killed. */
  const rebuild = async (filename: string, killAfter?: number) => {
    copyFileSync(base, filename);
    const child = start(t, "rebuild.mts", [JSON.stringify({ filename })]);
    await child.next();
    const began = performance.now();
    child.send("go");
    if (killAfter !== undefined) await delay(killAfter);
    else while (typeof (await child.next<Told>()) === "number");
    child.kill("SIGKILL");
    await child.ended;
    const stored = child.rest<Told>().filter((told) => typeof told === "number");
    return { time: performance.now() - began, last: Math.max(0, ...stored) };
  };
  const { time } = await rebuild(join(folder, "whole.db"));
  /** Checks what was killed when so many events were told to be stored, and does the rest. */
  const finish = async (filename: string, before: SessionEvent[][], last: number) => {
    assert.equal(structure(filename).integrity, "ok");
    const next = open(t, filename);
    assert.deepEqual(await oldEvents(next), before);
    const own = async () => (await allEvents(next, "own", 10_000)).map(({ eventIndex }) => eventIndex);
    const stored = await own();
    assert.ok(stored.length >= last, `${stored.length} of ${last} events are there`);
    await next.insertEvent("own", eventAt("own", stored.length + 1));
    await next.rebuild();
    assert.deepEqual(await oldEvents(next), before);
    assert.deepEqual(await own(), [...stored, stored.length + 1]);
    await next.close();
    assert.deepEqual(structure(filename), FRESH);
  };
  const round = async (number: number) => {
    const filename = join(folder, `${number}.db`);
    const { last } = await rebuild(filename, (time * (number + Math.random())) / 20);
    await finish(filename, before, last);
  };
  for (let number = 0; number < 20; number += 4) await Promise.all([0, 1, 2, 3].map((more) => round(number + more)));
  // Where none of these was in the middle, this one was.
  const middle = await interrupted(t);
  await finish(middle.filename, middle.before, 0);
});

/**
 * A file of which a rebuild was killed once it had made its tables, and the events that were in it. A machine may be done before: then
 * there is more to do.
 */
async function interrupted(t: TestContext): Promise<{ filename: string; before: SessionEvent[][] }> {
  for (let events = 10_000; ; events *= 4) {
    const filename = made(t, LAYOUTS["0.4"](events));
    const before = await adopted(t, filename, oldEvents);
    const child = start(t, "rebuild.mts", [JSON.stringify({ filename })]);
    await child.next();
    let isOver = false;
    void child.ended.then(() => (isOver = true));
    child.send("go");
    const hasBegun = "SELECT 1 FROM sqlite_schema WHERE name = 'persist_rebuild'";
    while (!isOver && !asOwner(filename, (database) => database.prepare(hasBegun).get())) await setImmediate();
    child.kill("SIGKILL");
    await child.ended;
    if (structure(filename).rest.length > 2) return { filename, before };
  }
}

test("what a dead rebuild has left a driver removes that opens the file, and not what one has that lives", async (t) => {
  const { filename, before } = await interrupted(t);
  const left = structure(filename);
  // It may live.
  const second = open(t, filename);
  await second.ready();
  assert.deepEqual(
    (await second.check()).filter(({ code }) => code === "interrupted-rebuild"),
    [],
  );
  await second.close();
  assert.deepEqual(structure(filename), left);
  asOwner(filename, (database) => database.exec("UPDATE persist_rebuild SET beat_at = beat_at - 61000"));
  const readonly = open(t, filename, { readonly: true });
  assert.equal((await readonly.check()).filter(({ code }) => code === "interrupted-rebuild").length, 1);
  await readonly.close();
  const third = open(t, filename);
  assert.deepEqual(await oldEvents(third), before);
  await third.close();
  const { rest, indexes } = structure(filename);
  assert.deepEqual([rest, indexes], [[], left.indexes]);
});

test("a signal ends it, the one that began last goes on, and close ends all", async (t) => {
  const filename = made(t, LAYOUTS["0.4"](30_000));
  const driver = open(t, filename);
  const before = await oldEvents(driver);
  const controller = new AbortController();
  const stopped = driver.rebuild({
    signal: controller.signal,
    onProgress: () => controller.abort(new Error("enough")),
  });
  await assert.rejects(stopped, { name: "AbortError" });
  // What it had is gone before the promise settles.
  const owner = await otherProcess(t, filename);
  const rest = () => owner.run("SELECT name FROM sqlite_schema WHERE name LIKE '%rebuild%'");
  assert.deepEqual(await rest(), []);

  // Both on one driver: their steps take turns, so neither can be over before the other has begun.
  const outcomes = await Promise.allSettled([driver.rebuild(), driver.rebuild()]);
  outcomes.sort((one, other) => one.status.localeCompare(other.status));
  const [copied, refused] = outcomes as [PromiseFulfilledResult<{ events: number }>, PromiseRejectedResult];
  assert.deepEqual([copied.status, refused.status], ["fulfilled", "rejected"]);
  assert.equal(copied.value.events, 30_000);
  assert.equal(refused.reason.code, "ERR_PERSIST_BUSY");
  assert.match(refused.reason.message, /another rebuild has begun meanwhile/);
  assert.deepEqual(await oldEvents(driver), before);
  assert.deepEqual(await rest(), []);
  await owner.end();
  await driver.close();
  assert.deepEqual(structure(filename), FRESH);

  const other = open(t, made(t, LAYOUTS["0.4"](10_000)));
  const closing = other.rebuild({ onProgress: () => void other.close() });
  await assert.rejects(closing, { code: "ERR_PERSIST_CLOSED" });
});

test("what of the owner's hangs on the table is named, and nothing is changed", async (t) => {
  const obstacles: [sql: string, name: RegExp][] = [
    ["CREATE VIEW recent AS SELECT * FROM Events", /the view recent/],
    ["CREATE TRIGGER audit AFTER INSERT ON events BEGIN SELECT 1; END", /the trigger audit/],
    ['CREATE TRIGGER other AFTER INSERT ON sessions BEGIN DELETE FROM "events" WHERE 0; END', /the trigger other/],
    ["CREATE TABLE notes (event TEXT REFERENCES events (id))", /the foreign key of notes/],
    ["ALTER TABLE events ADD COLUMN note TEXT", /the column note/],
    ["CREATE UNIQUE INDEX lower_id ON events (lower(id))", /the unique index lower_id on an expression/],
    // It finds rows by their numbers.
    ["CREATE VIRTUAL TABLE search USING fts5 (payload_json, content = 'events')", /the virtual table search/],
  ];
  for (const [sql, name] of obstacles) {
    const filename = made(t, LAYOUTS["0.4"](10));
    await adopted(t, filename, (driver) => driver.ready());
    const schema = () =>
      asOwner(filename, (database) =>
        database.prepare("SELECT sql, rootpage FROM sqlite_schema WHERE name <> 'persist_version' ORDER BY name").all(),
      );
    asOwner(filename, (database) => database.exec(sql));
    const before = schema();
    await adopted(t, filename, (driver) =>
      assert.rejects(driver.rebuild(), (error: Error & { code: string }) => {
        assert.equal(error.code, "ERR_PERSIST_SCHEMA");
        assert.match(error.message, name);
        return true;
      }),
    );
    assert.deepEqual(schema(), before);
  }
  for (const change of ["sender TEXT NOT NULL CHECK (sender <> '')", "sender TEXT NOT NULL DEFAULT 'agent'"]) {
    const driver = open(t, made(t, LAYOUTS["0.4"](10).replace("sender TEXT NOT NULL", change)));
    await assert.rejects(driver.rebuild(), {
      code: "ERR_PERSIST_SCHEMA",
      message: /a CHECK|the default of column sender/,
    });
  }
});

test("what else has a name that it needs is left alone, and named; an event without a time is not made up", async (t) => {
  for (const [sql, code, message] of [
    ["CREATE TABLE persist_rebuild AS SELECT 1 AS mine", "ERR_PERSIST_SCHEMA", /needs the name "persist_rebuild",/],
    ["CREATE TABLE persist_rebuild_copy (mine)", "ERR_PERSIST_SCHEMA", /needs the name "persist_rebuild_copy",/],
    ["CREATE VIEW persist_rebuild AS SELECT 1 AS id, 2 AS beat_at", "ERR_PERSIST_SCHEMA", /needs the name "persist_/],
    ["UPDATE events SET created_at = NULL WHERE id = 'e-3'", "ERR_PERSIST_CORRUPT", /a check tells which event/],
  ] as const) {
    const layout = LAYOUTS["columns that allow anything, with keys of its own"](10);
    const filename = made(t, layout);
    await adopted(t, filename, (driver) => driver.ready());
    const contents = () =>
      asOwner(filename, (database) => [
        database.prepare("SELECT name, sql, rootpage FROM sqlite_schema").all(),
        database.prepare("SELECT * FROM events").all(),
      ]);
    asOwner(filename, (database) => database.exec(sql));
    const before = contents();
    await adopted(t, filename, async (driver) => {
      await assert.rejects(driver.rebuild(), { code, message });
      assert.ok(!(await driver.check()).some((finding) => finding.code === "interrupted-rebuild"));
    });
    assert.deepEqual(contents(), before);
  }
});

test("a table that is as ours resolves at once; arguments, and a driver that only reads", async (t) => {
  const driver = new SQLiteSessionPersistDriver();
  t.after(() => driver.close());
  await driver.insertEvent("s", eventAt("s", 1));
  assert.deepEqual(await driver.rebuild({}), { events: 0, bytes: 0 });
  await assert.rejects(driver.rebuild({ force: true } as never), {
    code: "ERR_PERSIST_INVALID_ARGUMENT",
    message: "options.force is not a field of rebuild; the fields are onProgress, signal",
  });
  const filename = made(t, LAYOUTS["0.4"](10));
  await open(t, filename).ready();
  await assert.rejects(open(t, filename, { readonly: true }).rebuild(), { code: "ERR_PERSIST_READONLY" });
});

test("a disk that is full in the middle leaves the table as it was, and the next rebuild does it once there is room", async (t) => {
  await onSmallDisk(t, "12m", async (folder) => {
    const filename = join(folder, "full.db");
    copyFileSync(made(t, LAYOUTS["0.4"](5_000)), filename);
    const driver = open(t, filename);
    const before = await oldEvents(driver);
    const { bavail, bsize } = statfsSync(folder);
    writeFileSync(join(folder, "ballast"), Buffer.alloc(bavail * bsize - (1 << 20)));
    await assert.rejects(driver.rebuild(), { code: "ERR_PERSIST_FULL", message: /rebuilding the table of events of/ });
    assert.deepEqual(await oldEvents(driver), before);
    rmSync(join(folder, "ballast"));
    await driver.insertEvent("own", eventAt("own", 1));
    assert.equal((await driver.rebuild()).events, 5_001);
    assert.deepEqual(await oldEvents(driver), before);
    await driver.close();
    assert.deepEqual(structure(filename), FRESH);
  });
});
