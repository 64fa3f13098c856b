/** Tables in an application's own file: what the application has there stays as it was, and goes on working. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";

import {
  adopted,
  asOwner,
  EVENTS_OLDER,
  EVENTS_TEXT,
  idsOf,
  made,
  ORDER_INDEX,
  SESSIONS_0_2,
  SESSIONS_0_4,
} from "./support/sqlite/layouts.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { start } from "./support/process.mts";
import { open } from "./support/sqlite/refusals.mts";

test("the owner's columns, indexes, views, triggers and rows stay, and the driver's SQL that was pasted goes on working", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}, tenant TEXT NOT NULL DEFAULT 'me');
     CREATE TABLE events (${EVENTS_TEXT}, note TEXT, size INTEGER GENERATED ALWAYS AS (length(payload_json)) VIRTUAL);
     ${ORDER_INDEX};
     CREATE TABLE mine (a); INSERT INTO mine VALUES (1);
     CREATE TABLE log (id TEXT);
     CREATE INDEX events_by_time ON events (created_at, id);
     CREATE VIEW from_agents AS SELECT id, session_id FROM events WHERE sender = 'agent';
     CREATE TRIGGER logged AFTER INSERT ON events BEGIN INSERT INTO log VALUES (new.id); END;
     INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, tenant)
       VALUES ('s', 'mock', 'as', 'c', 1, 'you');
     INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json, note)
       VALUES ('a', 1, 's', 1, 'c', 'agent', '{}', 'first')`,
  );
  const named = `SELECT name, sql FROM sqlite_schema WHERE name IN
    ('mine', 'log', 'idx_events_session_order', 'events_by_time', 'from_agents', 'logged') ORDER BY name`;
  const before = asOwner(filename, (database) => database.prepare(named).all());
  assert.equal(before.length, 6);
  await adopted(t, filename, async (driver) => {
    await driver.updateSession(sessionOf("s", { agent: "other" }));
    await driver.insertEvent("s", eventAt("s", 2, { id: "b" }));
  });
  asOwner(filename, (database) => {
    assert.deepEqual(database.prepare(named).all(), before);
    assert.deepEqual(database.prepare("SELECT tenant, agent FROM sessions").all(), [{ tenant: "you", agent: "other" }]);
    assert.deepEqual(database.prepare("SELECT id, note FROM events ORDER BY event_index").all(), [
      { id: "a", note: "first" },
      { id: "b", note: null },
    ]);
    assert.deepEqual(database.prepare("SELECT id FROM from_agents").pluck().all(), ["a", "b"]);
    assert.deepEqual(database.prepare("SELECT id FROM log").pluck().all(), ["a", "b"]);
    assert.deepEqual(database.prepare("SELECT a FROM mine").pluck().all(), [1]);
    // What the pasted driver of 0.4 runs.
    database.exec(
      `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
         VALUES ('c', 3, 's', 1, 'c', 'agent', '{}')
         ON CONFLICT (id) DO UPDATE SET event_index = excluded.event_index, payload_json = excluded.payload_json;
       INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at)
         VALUES ('s', 'mock', 'as', 'c', 1) ON CONFLICT (id) DO UPDATE SET agent = excluded.agent`,
    );
  });
  const events = await adopted(t, filename, (driver) => allEvents(driver, "s"));
  assert.deepEqual(
    events.map((event) => event.id),
    ["a", "b", "c"],
  );
});

test("views, triggers and indexes of the older layout go on naming the events' ids", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_OLDER});
     CREATE TABLE log (id);
     CREATE VIEW from_agents AS SELECT id, session_id FROM events WHERE sender = 'agent';
     CREATE INDEX events_by_time ON events (created_at, id);
     CREATE TRIGGER logged AFTER INSERT ON events BEGIN INSERT INTO log VALUES (new.id); END;
     INSERT INTO events VALUES (7, 's', 1, 'c', 'agent', '{}')`,
  );
  await adopted(t, filename, (driver) => driver.insertEvent("s", eventAt("s", 2, { id: "b" })));
  asOwner(filename, (database) => {
    assert.deepEqual(database.prepare("SELECT id FROM from_agents ORDER BY id").pluck().all().map(String), ["7", "b"]);
    assert.deepEqual(database.prepare("SELECT id FROM log").pluck().all().map(String), ["7", "b"]);
    const names = database.prepare("SELECT name FROM sqlite_schema WHERE name = 'events_by_time'").pluck().all();
    assert.deepEqual(names, ["events_by_time"]);
  });
});

for (const [layout, events] of [
  ["0.4", EVENTS_TEXT],
  ["the older layout", EVENTS_OLDER],
]) {
  test(`a view of the owner's that was broken before does not stand in the way (${layout})`, async (t) => {
    const filename = made(
      t,
      `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${events});
       CREATE TABLE gone (a); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone`,
    );
    await adopted(t, filename, (driver) => driver.insertEvent("s", eventAt("s", 1)));
  });
}

test("a trigger of the owner's neither fires for the repair nor forbids it, and is there afterwards", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT});
     CREATE TRIGGER append_only BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append only'); END;
     INSERT INTO events VALUES ('a', 1, 's', 1, 'c', 'agent', '{}'), ('b', 1, 's', 2, 'c', 'agent', '{}')`,
  );
  const events = await adopted(t, filename, (driver) => allEvents(driver, "s"));
  assert.deepEqual(idsOf(events), [
    ["a", 1],
    ["b", 2],
  ]);
  asOwner(filename, (database) => {
    assert.throws(() => database.exec("UPDATE events SET sender = 'client'"), { message: "append only" });
  });
});

test("a foreign key of the owner's does not refuse the events that come before their session", async (t) => {
  const events = EVENTS_TEXT.replace("session_id TEXT NOT NULL", "session_id TEXT NOT NULL REFERENCES sessions (id)");
  const filename = made(t, `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${events})`);
  await adopted(t, filename, async (driver) => {
    await driver.insertEvent("s", eventAt("s", 1));
    await driver.updateSession(sessionOf("s"));
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
  });
});

const TRIGGERS = `CREATE TRIGGER ignores BEFORE INSERT ON events WHEN NEW.payload_json LIKE '%ignored%'
    BEGIN SELECT RAISE(IGNORE); END;
  CREATE TRIGGER ends BEFORE INSERT ON events WHEN NEW.payload_json LIKE '%ended%'
    BEGIN SELECT RAISE(ROLLBACK, 'not this one'); END;`;

test("an event that the owner's trigger ignores, or ends the transaction for, is refused alone", async (t) => {
  const filename = made(t, `CREATE TABLE events (${EVENTS_TEXT}); ${TRIGGERS}`);
  await adopted(t, filename, async (driver) => {
    const texts = ["kept", "ignored", "kept too", "ended", "kept as well"];
    const results = await Promise.allSettled(
      texts.map((text, at) => driver.insertEvent("s", eventAt("s", at + 1, { payload: { text } as never }))),
    );
    assert.deepEqual(
      results.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"],
    );
    for (const { reason } of results.filter((result) => result.status === "rejected")) {
      assert.equal(reason.code, "ERR_PERSIST_INVALID_ARGUMENT");
    }
    assert.deepEqual(
      (await allEvents(driver, "s")).map(({ eventIndex }) => eventIndex),
      [1, 3, 5],
    );
  });
});

test("an index of the owner's by the name that ours would have is left alone", async (t) => {
  const own = `CREATE INDEX events_session_id_event_index ON events (session_id, event_index);
    CREATE INDEX sessions_created_at_id ON sessions (agent)`;
  const filename = made(t, `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${own}`);
  await adopted(t, filename, (driver) => driver.insertEvent("s", eventAt("s", 1)));
  const names = asOwner(filename, (database) =>
    database
      .prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('sessions', 'events') ORDER BY name",
      )
      .pluck()
      .all(),
  );
  const kept = ["events_session_id_event_index", "sessions_created_at_id"];
  assert.deepEqual(
    names,
    kept.flatMap((name) => [name, `${name}_2`]),
  );
});

test("an application's own user_version is neither minded nor changed", async (t) => {
  const filename = made(t, "CREATE TABLE customers (id INTEGER PRIMARY KEY); PRAGMA user_version = 42");
  await adopted(t, filename, (driver) => driver.insertEvent("s", eventAt("s", 1)));
  assert.equal(
    asOwner(filename, (database) => database.pragma("user_version", { simple: true })),
    42,
  );
});

const CUSTOMERS = "CREATE TABLE customers (id INTEGER PRIMARY KEY); PRAGMA user_version = 42;";

/** What the file says about its tables: the names of all, the version in ours, and SQLite's number. */
function versions(filename: string) {
  return asOwner(filename, (database) => {
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").pluck().all();
    return {
      tables,
      ours: tables.includes("persist_version") ? database.prepare("SELECT * FROM persist_version").all() : undefined,
      application: database.pragma("user_version", { simple: true }),
    };
  });
}

const OURS = ["deleted_sessions", "events", "session_labels", "sessions"];
const SHARED = ["customers", "persist_version", ...OURS].sort();

/** Puts into a file what the driver never writes, and what it mends in files that it does not know yet. */
function breakByHand(filename: string): void {
  asOwner(filename, (database) =>
    database.exec("UPDATE events SET event_index = 1.5; UPDATE sessions SET created_at = 5.5"),
  );
}

/** Whether a driver that opened the file looked for that. */
function wasMended(filename: string): boolean {
  const [index, time] = asOwner(filename, (database) => [
    database.prepare("SELECT typeof(event_index) FROM events").pluck().get(),
    database.prepare("SELECT typeof(created_at) FROM sessions").pluck().get(),
  ]);
  assert.equal(index, time);
  return index === "integer";
}

/** An application's file with one session and event, as a driver leaves it. */
async function sharedFile(t: TestContext): Promise<string> {
  const filename = made(t, CUSTOMERS);
  await adopted(t, filename, async (driver) => {
    await driver.insertEvent("s", eventAt("s", 1));
    await driver.updateSession(sessionOf("s"));
  });
  return filename;
}

/** The same as releases left it that kept no version there. */
async function sharedFileWithoutVersion(t: TestContext): Promise<string> {
  const filename = await sharedFile(t);
  asOwner(filename, (database) => database.exec("DROP TABLE IF EXISTS persist_version"));
  return filename;
}

test("an application's file that was opened before is not searched for what only other programs write", async (t) => {
  const filename = await sharedFile(t);
  assert.deepEqual(versions(filename), { tables: SHARED, ours: [{ version: 1 }], application: 42 });
  breakByHand(filename);
  await adopted(t, filename, (driver) => driver.ready());
  assert.equal(wasMended(filename), false);
});

test("an application's file without a version is searched once, and opening it again changes no byte", async (t) => {
  const filename = await sharedFileWithoutVersion(t);
  breakByHand(filename);
  await adopted(t, filename, (driver) => driver.ready());
  assert.equal(wasMended(filename), true);
  assert.deepEqual(versions(filename), { tables: SHARED, ours: [{ version: 1 }], application: 42 });
  const bytes = readFileSync(filename);
  await adopted(t, filename, (driver) => driver.getSession("s"));
  assert.deepEqual(readFileSync(filename), bytes);
});

for (const options of [{ migrate: false }, { readonly: true }]) {
  test(`an application's file without a version is opened with ${JSON.stringify(options)}, and left as it is`, async (t) => {
    const filename = await sharedFileWithoutVersion(t);
    const driver = open(t, filename, options);
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
    await driver.close();
    assert.deepEqual(versions(filename).tables, ["customers", ...OURS]);
    breakByHand(filename);
    await assert.rejects(open(t, filename, options).ready(), {
      code: "ERR_PERSIST_SCHEMA",
      message: /Missing: renumber sessions .*; round times/,
    });
  });
}

test(
  "an application that holds the write lock does not keep a file without a version from being opened",
  { timeout: 120_000 },
  async (t) => {
    const filename = await sharedFileWithoutVersion(t);
    const application = await otherProcess(t, filename);
    await application.run("BEGIN IMMEDIATE");
    const driver = open(t, filename, { busyTimeoutMs: 2 ** 31 - 1 });
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
    await driver.close();
    await application.run("ROLLBACK");
    await application.end();
    assert.equal(versions(filename).ours, undefined);
    await adopted(t, filename, (driver) => driver.ready());
    assert.deepEqual(versions(filename).ours, [{ version: 1 }]);
  },
);

test("a file of our own to which an application adds tables gets its version with the next opening, and keeps it", async (t) => {
  const filename = made(t, "");
  await adopted(t, filename, async (driver) => {
    await driver.insertEvent("s", eventAt("s", 1));
    await driver.updateSession(sessionOf("s"));
  });
  assert.deepEqual(versions(filename), { tables: OURS, ours: undefined, application: 1 });
  asOwner(filename, (database) => database.exec(CUSTOMERS));
  await adopted(t, filename, (driver) => driver.ready());
  assert.deepEqual(versions(filename), { tables: SHARED, ours: [{ version: 1 }], application: 42 });

  // The application goes, and leaves its number behind: the file is our own again.
  asOwner(filename, (database) => database.exec("DROP TABLE customers"));
  breakByHand(filename);
  await adopted(t, filename, (driver) => driver.ready());
  assert.equal(wasMended(filename), false);
  assert.equal(versions(filename).application, 42);
});

test("stores with different prefixes in one file have a version each", async (t) => {
  const filename = made(t, "");
  for (const tablePrefix of ["", "a_", "b_", ""]) {
    const driver = open(t, filename, { tablePrefix });
    await driver.insertEvent("s", eventAt("s", 1));
    await driver.close();
  }
  const { tables } = versions(filename);
  assert.deepEqual(
    tables.filter((name) => String(name).endsWith("persist_version")),
    ["a_persist_version", "b_persist_version", "persist_version"],
  );
});

for (const options of [{}, { migrate: false }, { readonly: true }]) {
  test(`an application's file whose version is newer is ERR_PERSIST_SCHEMA (${JSON.stringify(options)})`, async (t) => {
    const filename = await sharedFile(t);
    asOwner(filename, (database) => database.exec("UPDATE persist_version SET version = 1000"));
    const bytes = readFileSync(filename);
    const driver = open(t, filename, options);
    await assert.rejects(driver.ready(), {
      code: "ERR_PERSIST_SCHEMA",
      message: /version 1000 \(table "persist_version"\).*use a newer release/,
    });
    await driver.close();
    assert.deepEqual(readFileSync(filename), bytes);
  });
}

test("processes that open an application's file at once write one version", async (t) => {
  const filename = await sharedFileWithoutVersion(t);
  const processes = Array.from({ length: 4 }, () => start(t, "adopt.mts", [filename]));
  for (const child of processes) await child.next();
  for (const child of processes) child.send("go");
  for (const child of processes) assert.deepEqual([await child.next(), await child.next()], ["opening", "ready"]);
  for (const child of processes) child.kill("SIGKILL");
  await Promise.all(processes.map((child) => child.ended));
  assert.deepEqual(versions(filename).ours, [{ version: 1 }]);
});
