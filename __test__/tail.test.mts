/** Following a session in an SQLite file: other processes that write, what a follower keeps alive, and what it costs. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { SessionEvent } from "sandbox-agent";

import { SQLiteSessionPersistDriver, type SQLiteSessionPersistDriverOptions } from "../index.js";
import { directory } from "./support/directory.mts";
import { start, type Started } from "./support/process.mts";
import { SESSIONS } from "./support/programs/write-until-killed.mts";
import { allEvents, eventAt } from "./support/records.mts";
import { asOwner, EVENTS_OLDER, made, SESSIONS_0_2 } from "./support/sqlite/layouts.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";

const ENDED_WELL = { code: 0, signal: null, stderr: "" };
const ENDED = { done: true, value: undefined };
const proc = process.platform === "linux" ? false : "it counts threads and files in /proc, which is Linux's";

type Tail = AsyncIterableIterator<SessionEvent>;

function open(t: TestContext, options: SQLiteSessionPersistDriverOptions): SQLiteSessionPersistDriver {
  const driver = new SQLiteSessionPersistDriver(options);
  t.after(() => driver.close());
  return driver;
}

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);

async function takeIndexes(tail: Tail, count: number): Promise<number[]> {
  const indexes: number[] = [];
  while (indexes.length < count) indexes.push((await tail.next()).value?.eventIndex);
  return indexes;
}

test("what three processes write to the same sessions comes once and in order, though one is killed and started again", async (t) => {
  const filename = join(directory(t), "shared.db");
  const driver = open(t, { filename });
  const given = SESSIONS.map(() => [] as number[]);
  const stop = new AbortController();
  const followers = SESSIONS.map(async (sessionId, session) => {
    for await (const event of driver.tailEvents({ sessionId, signal: stop.signal })) {
      given[session]!.push(event.eventIndex);
    }
  });
  const stopped = Promise.allSettled(followers);

  const writers = [1, 2, 3, 4].map(() => start(t, "write-until-killed.mts", [filename]));
  for (const writer of writers) assert.equal(await writer.next(), "loaded");
  const begin = (writer: Started) => writer.send("go");
  const progress = async (writer: Started, messages: number) => {
    for (let number = 0; number < messages; number += 1) await writer.next();
  };
  const [killed, second, third, late] = writers as [Started, Started, Started, Started];
  [killed, second, third].forEach(begin);
  await progress(killed, 20);
  killed.kill("SIGKILL");
  await killed.ended;
  begin(late);
  await Promise.all([second, third, late].map((writer) => progress(writer, 20)));
  for (const writer of [second, third, late]) writer.kill("SIGKILL");
  await Promise.all(writers.map((writer) => writer.ended));

  for (const [session, sessionId] of SESSIONS.entries()) {
    const stored = (await allEvents(driver, sessionId)).map(({ eventIndex }) => eventIndex);
    assert.ok(stored.length > 10, `only ${stored.length} events are stored`);
    while (given[session]!.length < stored.length) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(given[session], stored);
  }
  stop.abort();
  for (const result of await stopped) {
    assert.equal(result.status === "rejected" && result.reason.name, "AbortError");
  }
});

test("an idle follower lets the process end, and an awaited next() keeps it alive until its event comes", async (t) => {
  const filename = join(directory(t), "alive.db");
  const driver = open(t, { filename });
  await driver.insertEvent("s", eventAt("s", 1));
  const [idle, waits] = ["idle", "waits"].map((how) => start(t, "follow.mts", [filename, how])) as [Started, Started];
  assert.equal(await idle.next(), 1);
  assert.deepEqual(await idle.ended, ENDED_WELL);
  assert.deepEqual(idle.rest(), ["the loop is empty"]);
  assert.equal(await waits.next(), 1);
  await driver.insertEvent("s", eventAt("s", 2));
  assert.equal(await waits.next(), 2);
  assert.deepEqual(await waits.ended, ENDED_WELL);
});

test("10,000 followers that are dropped in mid-page are collected, and leave no memory behind", async (t) => {
  const child = start(t, "drop-followers.mts", [join(directory(t), "dropped.db"), "10000"], ["--expose-gc"]);
  const { collected, growth } = await child.next<{ collected: number; growth: number }>();
  assert.equal(collected, 10_000);
  // The pages of the second half are 60 MB.
  assert.ok(growth < 20e6, `the process grew by ${growth} bytes`);
  assert.deepEqual(await child.ended, ENDED_WELL);
});

test("a consumer that sleeps at the start of 50,000 events holds a page of them, and then gets all in order", async (t) => {
  const filename = join(directory(t), "long.db");
  await open(t, { filename }).close();
  asOwner(filename, (database) =>
    database.exec(
      `WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 50000)
       INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
       SELECT 'e' || n, n, 's', n, 'c', 'agent', '{"text":"${"x".repeat(1_500)}"}' FROM number`,
    ),
  );
  const child = start(t, "follow-slowly.mts", [filename, "50000"]);
  assert.equal(await child.next(), "sleeping");
  child.send("go on");
  // All events are 80 MB.
  const growth = await child.next<number>();
  assert.ok(growth < 30e6, `the process grew by ${growth} bytes`);
  assert.equal(await child.next(), 50_000);
  assert.deepEqual(await child.ended, ENDED_WELL);
});

test("workers that are terminated while they follow neither crash the process nor hold it up", async (t) => {
  const child = start(t, "end-followers.mjs", [join(directory(t), "workers.db"), "12"]);
  assert.equal(await child.next(), 4 * (20 + 40));
  assert.deepEqual(await child.ended, ENDED_WELL);
});

test("1,000 followers of 1,000 sessions have no more threads and files than one", { skip: proc }, async (t) => {
  const driver = open(t, { filename: join(directory(t), "many.db") });
  const held = () => [readdirSync("/proc/self/task").length, readdirSync("/proc/self/fd").length];
  const tails: Tail[] = [];
  const follow = (count: number) => {
    const waiting = upTo(count).map((number) => {
      const tail = driver.tailEvents({ sessionId: `session-${tails.length + number}` });
      t.after(() => tail.return!());
      return [tail, tail.next()] as const;
    });
    tails.push(...waiting.map(([tail]) => tail));
    return waiting.map(([, next]) => next);
  };
  const write = async (session: number) => driver.insertEvent(`session-${session}`, eventAt(`session-${session}`, 1));
  const [first] = follow(1);
  await write(1);
  await first;
  const one = held();
  const others = follow(999);
  await Promise.all(upTo(1000).slice(1).map(write));
  await Promise.all(others);
  assert.deepEqual(held(), one);
});

test("a read-only driver follows what another driver writes, also when the tables were adopted", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS_OLDER});
     INSERT INTO events VALUES (7, 's', 1, 'c', 'agent', '{"old":1}'), (9, 's', 2, 'c', 'agent', '{"old":2}')`,
  );
  const writer = open(t, { filename });
  await writer.ready();
  const tail = open(t, { filename, readonly: true }).tailEvents({ sessionId: "s" });
  assert.deepEqual((await tail.next()).value?.payload, { old: 1 });
  assert.deepEqual((await tail.next()).value?.id, "9");
  const next = tail.next();
  await writer.insertEvent("s", eventAt("s", 3));
  assert.deepEqual(await next, { done: false, value: eventAt("s", 3) });
});

test("a session that another process deletes ends its followers, and one that is deleted already ends them at once", async (t) => {
  const filename = join(directory(t), "deleted.db");
  const driver = open(t, { filename });
  await driver.insertEvent("s", eventAt("s", 1));
  const tail = driver.tailEvents({ sessionId: "s" });
  assert.deepEqual(await takeIndexes(tail, 1), [1]);
  const next = tail.next();
  const other = await otherProcess(t, filename);
  await other.run(`INSERT INTO deleted_sessions (id, deleted_at) VALUES ('s', ${Date.now()})`);
  assert.deepEqual([await next, await tail.next()], [ENDED, ENDED]);
  assert.deepEqual(await driver.tailEvents({ sessionId: "s", afterIndex: 1 }).next(), ENDED);
});

test("a signal has one listener for all that wait, and none when nobody does", async (t) => {
  const driver = open(t, {});
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = () => getEventListeners(signal, "abort").length;
  const tails = upTo(20).map((number) => driver.tailEvents({ sessionId: `session-${number % 2}`, signal }));
  assert.equal(listeners(), 0);
  const waiting = tails.map((tail) => tail.next());
  assert.equal(listeners(), 1);
  await driver.insertEvent("session-0", eventAt("session-0", 1));
  await Promise.all(waiting.filter((_, number) => number % 2));
  assert.equal(listeners(), 1);
  controller.abort();
  const results = await Promise.allSettled(waiting);
  assert.deepEqual(
    results.map((result) => result.status),
    upTo(20).map((number) => (number % 2 ? "rejected" : "fulfilled")),
  );
  assert.equal(listeners(), 0);
});

test("a database that cannot be opened rejects the waiting next(), which ends the iterator; a new one tries again", async (t) => {
  const folder = directory(t);
  const driver = open(t, { filename: join(folder, "missing", "a.db") });
  for (let tries = 0; tries < 3; tries += 1) {
    const tail = driver.tailEvents({ sessionId: "s" });
    await assert.rejects(tail.next(), { code: "ERR_PERSIST_UNAVAILABLE" });
    assert.deepEqual(await tail.next(), ENDED);
  }
});

test("a row that cannot be read rejects once the events before it are given, and those of other sessions go on", async (t) => {
  const filename = join(directory(t), "broken.db");
  const driver = open(t, { filename });
  for (const index of [1, 2, 3, 4]) await driver.insertEvent("s", eventAt("s", index));
  const other = await otherProcess(t, filename);
  await other.run("UPDATE events SET payload_json = '{' WHERE event_index = 3");
  const healthy = driver.tailEvents({ sessionId: "healthy" }).next();
  const tail = driver.tailEvents({ sessionId: "s" });
  assert.deepEqual(await takeIndexes(tail, 2), [1, 2]);
  await assert.rejects(tail.next(), { code: "ERR_PERSIST_CORRUPT", message: /following session "s".*payload_json/s });
  assert.deepEqual(await tail.next(), ENDED);
  assert.deepEqual(await takeIndexes(driver.tailEvents({ sessionId: "s", afterIndex: 3 }), 1), [4]);
  await driver.insertEvent("healthy", eventAt("healthy", 1));
  assert.equal((await healthy).value?.eventIndex, 1);
});
