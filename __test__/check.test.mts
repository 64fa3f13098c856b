/** `check` on SQLite: every finding made for real, and that it only reads. */
import assert from "node:assert/strict";
import { chmodSync, closeSync, linkSync, openSync, readFileSync, statSync, truncateSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

import { type Finding, SQLiteSessionPersistDriver } from "../index.js";
import { directory } from "./support/directory.mts";
import { eventAt, sessionOf } from "./support/records.mts";
import { asOwner, EVENTS_TEXT, made, ORDER_INDEX, SESSIONS_0_4 } from "./support/sqlite/layouts.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";
import { open, readyFile } from "./support/sqlite/refusals.mts";

/** What there is of a kind. */
const of = (findings: Finding[], code: string) => findings.filter((finding) => finding.code === code);
const codes = (findings: Finding[]) => [...new Set(findings.map(({ code }) => code))].sort();

test("a sound file has no findings, and not a byte of it is changed", async (t) => {
  const filename = join(directory(t), "sound.db");
  await readyFile(filename, 50);
  const driver = open(t, filename);
  await driver.insertEvent("s", eventAt("s", 51));
  const files = () => ["", "-wal"].map((suffix) => readFileSync(filename + suffix));
  const before = files();
  const progress: unknown[] = [];
  assert.deepEqual(await driver.check({ onProgress: (so_far) => progress.push(so_far) }), []);
  assert.deepEqual(files(), before);
  assert.ok(progress.length > 0);
  const readonly = open(t, filename, { readonly: true });
  assert.deepEqual(await readonly.check(), []);
  assert.deepEqual(files(), before);
});

test("of what is found in many rows it tells the number and the first sessions", async (t) => {
  const filename = join(directory(t), "rows.db");
  await readyFile(filename, 3);
  const driver = open(t, filename);
  for (let number = 0; number < 25; number += 1) {
    await driver.insertEvent(`orphan-${number}`, eventAt(`orphan-${number}`, 1));
    await driver.updateSession(sessionOf(`empty-${number}`));
  }
  await driver.close();
  asOwner(filename, (database) =>
    database.exec(
      `UPDATE events SET payload_json = '{"secret":' WHERE session_id IN ('orphan-3', 'orphan-4');
       UPDATE events SET created_at = 'swordfish' WHERE session_id = 'orphan-5';
       UPDATE events SET event_index = 'swordfish' WHERE session_id = 'orphan-6';
       UPDATE sessions SET modes_json = 'swordfish' WHERE id = 'empty-1'`,
    ),
  );
  const findings = await open(t, filename).check();
  assert.deepEqual(codes(findings), [
    "events-without-session",
    "sessions-without-events",
    "unreadable-events",
    "unreadable-sessions",
  ]);
  const [orphans] = of(findings, "events-without-session");
  assert.deepEqual([orphans.count, orphans.sessionIds?.length, orphans.table], [25, 20, "events"]);
  const [empty] = of(findings, "sessions-without-events");
  assert.deepEqual([empty.count, empty.sessionIds?.length, empty.severity], [25, 20, "info"]);
  const unreadable = of(findings, "unreadable-events");
  assert.deepEqual(
    unreadable.map(({ count, sessionIds, message }) => [count, sessionIds, /since (.*);/.exec(message)?.[1]]),
    [
      [1, undefined, "session_id or event_index holds no value of its type"],
      [2, ["orphan-3", "orphan-4"], "column payload_json holds text that is not JSON"],
      [1, ["orphan-5"], "column created_at holds a value of type Text"],
    ],
  );
  assert.deepEqual(of(findings, "unreadable-sessions")[0].sessionIds, ["empty-1"]);
  // What matters most comes first, and no payload is told.
  assert.equal(findings[0].severity, "error");
  assert.ok(!JSON.stringify(findings).includes("swordfish"));
});

test("values of any type where an id should be are findings, and no reason to end", async (t) => {
  const columns = "created_at, connection_id, sender, payload_json, UNIQUE (session_id, event_index)";
  const filename = made(
    t,
    `CREATE TABLE sessions (id UNIQUE, agent, agent_session_id, last_connection_id, created_at, destroyed_at, session_init_json);
     CREATE TABLE events (id, event_index INTEGER, session_id, ${columns});`,
  );
  const setUp = open(t, filename);
  await setUp.insertEvent("orphan", eventAt("orphan", 1));
  await setUp.close();
  asOwner(filename, (database) => {
    for (const id of ["7", "7.5", "x'ff'", "CAST(x'ff61' AS TEXT)"]) {
      database.exec(`INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at) VALUES (${id}, 'a', 'a', 'c', 1);
        INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
          VALUES ('e', 1, ${id}, 1, 'c', 'agent', '{}')`);
    }
  });
  const findings = await open(t, filename).check();
  const unreadable = of(findings, "unreadable-sessions").reduce((sum, { count }) => sum + count!, 0);
  assert.equal(unreadable, 4);
  assert.deepEqual(
    of(findings, "unreadable-events").map(({ count }) => count),
    [3, 1],
  );
  assert.deepEqual(of(findings, "events-without-session")[0].sessionIds, ["orphan"]);
});

test("the layout of an adopted table, and an index that is of no use in it", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${ORDER_INDEX}`,
  );
  const driver = open(t, filename);
  const findings = await driver.check();
  assert.deepEqual(codes(findings), ["adopted-layout", "open-to-others", "redundant-index"]);
  assert.match(of(findings, "redundant-index")[0].message, /"idx_events_session_order" is of no use beside/);

  const owner = await otherProcess(t, filename);
  await owner.run("DROP INDEX events_session_id_event_index");
  const [missing] = of(await driver.check(), "tables-not-ready");
  assert.match(missing.message, /unique index on the events'/);
  await owner.end();
});

test("files and a directory that others may open, a second name, a large log, and settings", async (t) => {
  const folder = directory(t);
  const filename = join(folder, "open.db");
  await readyFile(filename);
  asOwner(filename, (database) => database.pragma("journal_mode = DELETE"));
  const found = await open(t, filename, { migrate: false, durability: "normal" }).check();
  assert.deepEqual(codes(found), ["no-write-ahead-log", "normal-durability"]);

  const driver = open(t, filename);
  await driver.insertEvent("s", eventAt("s", 2));
  chmodSync(filename, 0o640);
  chmodSync(`${filename}-wal`, 0o604);
  chmodSync(folder, 0o777);
  linkSync(filename, join(folder, "other-name.db"));
  // What stands behind the last frame of a log means nothing to SQLite.
  truncateSync(`${filename}-wal`, 129 * 2 ** 20);
  const findings = await driver.check();
  assert.deepEqual(codes(findings), ["hard-link", "large-log", "open-to-others"]);
  const modes = of(findings, "open-to-others").map(({ message }) => /(\S+) has mode (\d+)/.exec(message)?.slice(1));
  assert.deepEqual(modes, [
    [filename, "0640"],
    [`${filename}-wal`, "0604"],
    [dirname(filename), "0777"],
  ]);
  assert.match(of(findings, "large-log")[0].message, /135266304 bytes/);
  await driver.insertEvent("s", eventAt("s", 3));
});

test("damage is a finding, however bad it is", async (t) => {
  const filename = join(directory(t), "damaged.db");
  await readyFile(filename, 500);
  asOwner(filename, (database) => {
    database.exec("CREATE INDEX owners ON events (id)");
    database.unsafeMode();
    database.pragma("writable_schema = ON");
    database.exec("UPDATE sqlite_schema SET sql = replace(sql, '(id)', '(sender)') WHERE name = 'owners'");
  });
  const driver = open(t, filename);
  const [damaged] = of(await driver.check(), "damaged");
  assert.deepEqual([damaged.table, damaged.severity], ["events", "error"]);
  assert.match(damaged.message, /index owners/);
  await driver.close();

  const { size } = statSync(filename);
  const file = openSync(filename, "r+");
  writeSync(file, Buffer.alloc(size - 8192, 0xee), 0, size - 8192, 8192);
  closeSync(file);
  const broken = new SQLiteSessionPersistDriver({ filename, migrate: false });
  t.after(() => broken.close());
  const findings = of(await broken.check(), "damaged");
  assert.ok(findings.length > 0);
});

test("arguments, a signal, and a closed driver", async (t) => {
  const driver = new SQLiteSessionPersistDriver();
  t.after(() => driver.close());
  await assert.rejects(driver.check({ deep: true } as never), {
    code: "ERR_PERSIST_INVALID_ARGUMENT",
    message: "options.deep is not a field of check; the fields are onProgress, signal",
  });
  await assert.rejects(driver.check({ signal: AbortSignal.abort() }), { name: "AbortError" });
  // One that looks at nothing may be over before it is ended.
  const isEnded = async () => {
    const controller = new AbortController();
    const findings = driver.check({ onProgress: () => controller.abort(), signal: controller.signal });
    return findings.then(
      () => false,
      ({ name }) => name === "AbortError",
    );
  };
  for (let tries = 1; !(await isEnded()); tries += 1) assert.ok(tries < 1_000, "no check was ended by its signal");
  assert.deepEqual(await driver.check(), []);
  await driver.close();
  await assert.rejects(driver.check(), { code: "ERR_PERSIST_CLOSED" });
});
