/** Tables that are not ours, too new, or not ready: each gives its code and message, and is left as it was. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import Database from "better-sqlite3";

import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import { oldLayout, open, readyFile, refuses, works } from "./support/sqlite/refusals.mts";

/** What a file that another program made looks like, before and after. */
function contentOf(filename: string, ...tables: string[]) {
  const database = new Database(filename, { readonly: true });
  const content = {
    schema: database.prepare("SELECT * FROM sqlite_schema ORDER BY rowid").all(),
    rows: tables.map((table) => database.prepare(`SELECT * FROM ${table}`).all()),
    version: database.pragma("user_version", { simple: true }),
  };
  database.close();
  return content;
}

const FOREIGN = [
  {
    what: "an events table of the application's own",
    table: "events",
    sql: "CREATE TABLE events (id INTEGER PRIMARY KEY, title TEXT, starts_at INTEGER); INSERT INTO events VALUES (1, 'Party', 2)",
    reason: /"events".*it has no column session_id, created_at, connection_id, sender, payload_json/,
  },
  {
    what: "a sessions table of the application's own",
    table: "sessions",
    sql: "CREATE TABLE sessions (sid TEXT PRIMARY KEY, expires INTEGER); INSERT INTO sessions VALUES ('a', 1)",
    reason: /"sessions".*it has no column id, agent/,
  },
  {
    what: "a view called events",
    table: "events",
    sql: "CREATE TABLE log (a); INSERT INTO log VALUES (1); CREATE VIEW events AS SELECT a FROM log",
    reason: /"events".*it is a view/,
  },
  {
    what: "a virtual table called events",
    table: "events",
    sql: "CREATE VIRTUAL TABLE events USING fts5 (id, session_id, created_at, connection_id, sender, payload_json)",
    reason: /"events".*it is a virtual/,
  },
  {
    what: "an events table that wants a value which the SDK does not give",
    table: "events",
    sql: `CREATE TABLE events (id TEXT PRIMARY KEY, event_index INTEGER, session_id TEXT, created_at INTEGER,
            connection_id TEXT, sender TEXT, payload_json TEXT, tenant TEXT NOT NULL)`,
    reason: /"events".*it wants a value for tenant/,
  },
  {
    what: "a sessions table in which nothing makes the id unique",
    table: "sessions",
    sql: `CREATE TABLE sessions (id TEXT, agent TEXT, agent_session_id TEXT, last_connection_id TEXT, created_at INTEGER)`,
    reason: /"sessions".*nothing makes its id unique/,
  },
  {
    what: "an events table that makes numbers of ids, and text of indexes",
    table: "events",
    sql: `CREATE TABLE events (id STRING PRIMARY KEY, event_index TEXT, session_id TEXT, created_at INTEGER,
            connection_id TEXT, sender TEXT, payload_json TEXT)`,
    reason: /"events".*it could not give back what is put into id, event_index/,
  },
  {
    what: "an events table that computes the index",
    table: "events",
    sql: `CREATE TABLE events (id TEXT PRIMARY KEY, event_index INTEGER AS (created_at), session_id TEXT, created_at INTEGER,
            connection_id TEXT, sender TEXT, payload_json TEXT)`,
    reason: /"events".*it could not give back what is put into event_index/,
  },
  {
    what: "a persist_version table of the application's own",
    table: "persist_version",
    sql: "CREATE TABLE persist_version (release TEXT, version INTEGER); INSERT INTO persist_version VALUES ('a', 1)",
    reason: /"persist_version".*one column, version, of type INTEGER/,
  },
  {
    what: "a persist_version table that holds text",
    table: "persist_version",
    sql: "CREATE TABLE persist_version (version INTEGER); INSERT INTO persist_version VALUES (1), ('1.2.3')",
    reason: /"persist_version".*its version is not a whole number/,
  },
  {
    what: "a view called persist_version",
    table: "persist_version",
    sql: "CREATE VIEW persist_version AS SELECT 1 AS version",
    reason: /"persist_version".*one column, version, of type INTEGER/,
  },
];

for (const { what, table, sql, reason } of FOREIGN) {
  test(`${what} is ERR_PERSIST_FOREIGN_TABLE, is left byte for byte, and tablePrefix gets around it`, async (t) => {
    const filename = join(directory(t), "application.db");
    const database = new Database(filename);
    database.exec(sql);
    database.close();
    const [bytes, content] = [readFileSync(filename), contentOf(filename, table)];

    const driver = open(t, filename);
    await refuses(driver, filename, "ERR_PERSIST_FOREIGN_TABLE", reason);
    await assert.rejects(driver.ready(), { message: /Set options\.tablePrefix, or another options\.filename/ });
    await driver.close();
    assert.deepEqual(readFileSync(filename), bytes);
    assert.deepEqual(readdirSync(join(filename, "..")), ["application.db"]);

    const prefixed = open(t, filename, { tablePrefix: "agent_" });
    await works(prefixed);
    await prefixed.close();
    const after = contentOf(filename, table, "agent_events", "agent_sessions");
    assert.deepEqual(after.rows[0], content.rows[0]);
    assert.deepEqual(after.schema.slice(0, content.schema.length), content.schema);
  });
}

test("tables of a newer release are ERR_PERSIST_SCHEMA, and are left byte for byte", async (t) => {
  const filename = join(directory(t), "newer.db");
  await readyFile(filename);
  const database = new Database(filename);
  database.pragma("user_version = 1000");
  database.close();
  const bytes = readFileSync(filename);
  const driver = open(t, filename);
  await refuses(driver, filename, "ERR_PERSIST_SCHEMA", /version 1000 \(`user_version`\).*use a newer release/);
  await driver.close();
  assert.deepEqual(readFileSync(filename), bytes);
});

for (const options of [{ migrate: false }, { readonly: true }]) {
  const readonly = "readonly" in options;
  test(`${JSON.stringify(options)} says which steps a file lacks, and changes nothing`, async (t) => {
    const folder = directory(t);
    const [missing, empty, old] = ["missing.db", "empty.db", "old.db"].map((name) => join(folder, name));
    writeFileSync(empty, "");
    oldLayout(old);
    const bytes = readFileSync(old);

    await refuses(open(t, missing, options), missing, "ERR_PERSIST_UNAVAILABLE", /cannot be opened/, readonly);
    assert.equal(existsSync(missing), false);
    const all = /create the table of sessions; create the table of events/;
    await refuses(open(t, empty, options), empty, "ERR_PERSIST_SCHEMA", all, readonly);
    assert.equal(readFileSync(empty, "utf8"), "");
    const some = new RegExp(
      [
        "Missing: add column sandbox_id to sessions",
        "add column config_options_json to sessions",
        "add column modes_json to sessions",
        "add column extra_json to sessions",
        "add column extra_json to events",
        ".*add a unique index on the events' \\(session_id, event_index\\)",
        "create the table of session labels",
        "create the table of deleted sessions",
        "add an index on the sessions' \\(created_at, id\\), .*\\. Use options\\.migrate once, since options\\.readonly changes no table",
      ].join("; "),
    );
    await refuses(open(t, old, options), old, "ERR_PERSIST_SCHEMA", some, readonly);
    assert.deepEqual(readFileSync(old), bytes);
    assert.deepEqual(readdirSync(folder), ["empty.db", "old.db"]);
  });
}

test("migrate: false works on a file that is ready", async (t) => {
  const filename = join(directory(t), "ready.db");
  await readyFile(filename);
  const driver = open(t, filename, { migrate: false });
  await driver.ready();
  assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
  await works(driver);
});

test("a driver with migrate: false works once another one has made the file ready", async (t) => {
  const filename = join(directory(t), "later.db");
  const driver = open(t, filename, { migrate: false });
  await assert.rejects(driver.ready());
  await readyFile(filename);
  await works(driver);
});

test("readonly: true reads, sees what others write, and rejects writes with ERR_PERSIST_READONLY", async (t) => {
  const filename = join(directory(t), "read.db");
  await readyFile(filename, 3);
  const reader = open(t, filename, { readonly: true });
  await reader.ready();
  assert.deepEqual(await reader.getSession("s"), sessionOf("s"));
  assert.deepEqual((await reader.listSessions()).items, [sessionOf("s")]);
  const events = [1, 2, 3].map((index) => eventAt("s", index));
  assert.deepEqual(await allEvents(reader, "s"), events);
  const refused = { code: "ERR_PERSIST_READONLY", message: /read\.db failed: .*only to read \(options\.readonly\)/ };
  await assert.rejects(reader.insertEvent("s", eventAt("s", 4)), refused);
  await assert.rejects(reader.updateSession(sessionOf("s")), refused);

  const writer = open(t, filename);
  await writer.insertEvent("s", eventAt("s", 4));
  assert.deepEqual(await allEvents(reader, "s"), [...events, eventAt("s", 4)]);

  await reader.close();
  await assert.rejects(reader.insertEvent("s", eventAt("s", 5)), { code: "ERR_PERSIST_CLOSED" });
});
