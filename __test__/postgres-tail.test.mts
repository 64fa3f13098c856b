/**
 * Following on Postgres: nothing is missed and nothing comes twice, whatever happens to writers, connections and servers, and
 * a thousand followers cost the server what one does. What both drivers do is in the contract suite.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";

import type { SessionEvent } from "sandbox-agent";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { startStandby } from "./support/postgres/standby.mts";
import { start } from "./support/process.mts";
import type { Report } from "./support/programs/write-on-demand.mts";
import { allEvents, eventAt } from "./support/records.mts";

const server = await startServer({ settings: ["shared_preload_libraries = 'pg_stat_statements'"] });
after(server.cleanup);
await query(server.url, "CREATE EXTENSION pg_stat_statements");

const PATIENCE = { timeout: 120_000 };

function open(
  t: TestContext,
  connectionString: string,
  options: PostgresSessionPersistDriverOptions = {},
): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString, ...options });
  t.after(() => driver.close());
  return driver;
}

/** The next so many events. */
async function take(events: AsyncIterator<SessionEvent>, count: number): Promise<SessionEvent[]> {
  const taken: SessionEvent[] = [];
  while (taken.length < count) {
    const { value, done } = await events.next();
    assert.ok(!done, `the follower ended after ${taken.length} of ${count} events`);
    taken.push(value);
  }
  return taken;
}

const indexes = (events: SessionEvent[]) => events.map(({ eventIndex }) => eventIndex);
const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);
const inOrder = (events: SessionEvent[]) => events.toSorted((one, other) => one.eventIndex - other.eventIndex);

/** Backends that serve drivers on this database. */
async function backends(url: string): Promise<number[]> {
  const sql = `SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'sandbox-agent-persist'`;
  return (await query(url, sql)).map(({ pid }) => pid);
}

/** How often drivers have asked on this database what is new. */
async function polls(url: string): Promise<{ probes: number; queries: number }> {
  const [counts] = await query(
    server.url,
    `SELECT coalesce(sum(calls) FILTER (WHERE query LIKE '%pg_current_snapshot%'), 0)::int AS probes,
       coalesce(sum(calls) FILTER (WHERE query LIKE '%LATERAL%'), 0)::int AS queries
     FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid WHERE datname = $1`,
    [new URL(url).pathname.slice(1)],
  );
  return counts;
}

test(
  "three processes write to a session, and one of them is killed and started again: each event comes once, in order",
  PATIENCE,
  async (t) => {
    const url = await server.createDatabase();
    const driver = open(t, url);
    await driver.ready();
    const events = driver.tailEvents({ sessionId: "s" });
    const begin = async (name: string, count: number) => {
      const writer = start(t, "postgres-write-on-demand.mts");
      assert.equal(await writer.next(), "loaded");
      writer.send({ options: { connectionString: url }, sessions: ["s"], name, count, atOnce: 4 });
      return writer;
    };
    const [one, other, killed] = await Promise.all([begin("one", 100), begin("other", 100), begin("killed", 100_000)]);
    const followed = await take(events, 50);
    killed.kill("SIGKILL");
    await killed.ended;
    const again = await begin("again", 100);
    const reports = await Promise.all([one, other, again].map((writer) => writer.next<Report>()));
    assert.deepEqual(
      reports.map(({ stored, failed }) => [stored.length, failed]),
      [1, 2, 3].map(() => [100, []]),
    );
    const stored = await allEvents(driver, "s");
    followed.push(...(await take(events, stored.length - followed.length)));
    assert.deepEqual(followed, stored);
  },
);

test(
  "a server that is stopped, crashes and is killed while followers wait: each event comes once, in order",
  PATIENCE,
  async (t) => {
    t.after(() => server.start().catch(() => {}));
    const url = await server.createDatabase();
    const [writer, reader] = [open(t, url), open(t, url)];
    // One follows what its own driver writes, the other what another driver writes.
    const followers = [writer, reader].map((driver) => driver.tailEvents({ sessionId: "s" }));
    let index = 0;
    for (const stop of ["fast", "immediate", "SIGKILL"] as const) {
      const next = followers.map((events) => take(events, 20));
      for (const half of [1, 2]) {
        const writes = upTo(10).map(() => writer.insertEvent("s", eventAt("s", (index += 1))));
        await Promise.all(writes);
        if (half === 2) break;
        // All have come, and the followers wait.
        if (stop === "SIGKILL") await server.kill("SIGKILL");
        else await server.stop(stop);
        await server.start();
      }
      for (const events of await Promise.all(next)) {
        assert.deepEqual(
          indexes(events),
          upTo(20).map((number) => index - 20 + number),
        );
      }
    }
  },
);

test(
  "the primary is killed and its standby promoted: each event comes once, in order, before and after",
  PATIENCE,
  async (t) => {
    const primary = await startServer();
    t.after(primary.cleanup);
    const standby = await startStandby(primary, { synchronous: true });
    t.after(standby.cleanup);
    const hosts = [primary, standby].map(({ host, port }) => `${host}:${port}`).join(",");
    const { user, password, database } = primary;
    const url = `postgresql://${user}:${password}@${hosts}/${database}`;
    const [writer, reader] = [open(t, url), open(t, url)];
    const onStandby = open(t, standby.url);
    await writer.insertEvent("s", eventAt("s", 1));
    await standby.catchUp();
    const followers = [writer, reader, onStandby].map((driver) => driver.tailEvents({ sessionId: "s" }));
    for (const events of followers) assert.deepEqual(indexes(await take(events, 1)), [1]);
    const next = followers.map((events) => take(events, 20));
    for (let index = 2; index <= 11; index += 1) await writer.insertEvent("s", eventAt("s", index));
    await primary.kill("SIGKILL");
    await standby.promote();
    for (let index = 12; index <= 21; index += 1) await writer.insertEvent("s", eventAt("s", index));
    for (const events of await Promise.all(next)) assert.deepEqual(indexes(events), upTo(21).slice(1));
  },
);

test(
  "connections that are ended, and answers that are lost, while a follower waits are made up for",
  PATIENCE,
  async (t) => {
    const url = await server.createDatabase();
    const proxy = await startProxy(server);
    t.after(() => proxy.close());
    const [writer, reader] = [open(t, url), open(t, proxy.urlOf(url))];
    const events = reader.tailEvents({ sessionId: "s" });
    await writer.insertEvent("s", eventAt("s", 1));
    assert.deepEqual(indexes(await take(events, 1)), [1]);
    for (let index = 2; index <= 10; index += 1) {
      const next = take(events, 1);
      if (index % 3 === 0) proxy.cut("reset");
      const lost = index % 3 === 1 ? [proxy.dropAnswerOnce(/LATERAL/)] : [];
      await writer.insertEvent("s", eventAt("s", index));
      await Promise.all(lost);
      assert.deepEqual(indexes(await next), [index]);
    }
  },
);

test(
  "when the server is away for longer than queryTimeoutMs next() rejects, and another follower goes on from there",
  PATIENCE,
  async (t) => {
    t.after(() => server.start().catch(() => {}));
    const url = await server.createDatabase();
    const [driver, writer] = [open(t, url, { queryTimeoutMs: 2_000 }), open(t, url)];
    await writer.insertEvent("s", eventAt("s", 1));
    const events = driver.tailEvents({ sessionId: "s" });
    const [last] = await take(events, 1);
    const next = events.next();
    await server.stop("fast");
    await assert.rejects(next, { code: /^ERR_PERSIST_(UNAVAILABLE|TIMEOUT)$/ });
    assert.deepEqual(await events.next(), { value: undefined, done: true });
    await server.start();
    const again = driver.tailEvents({ sessionId: "s", afterIndex: last.eventIndex });
    await writer.insertEvent("s", eventAt("s", 2));
    assert.deepEqual(indexes(await take(again, 1)), [2]);
  },
);

test("a driver's own events come at once: its followers do not wait for the next poll", PATIENCE, async (t) => {
  const url = await server.createDatabase();
  const driver = open(t, url);
  const events = driver.tailEvents({ sessionId: "s" });
  await driver.insertEvent("s", eventAt("s", 1));
  await take(events, 1);
  // Without being told, a follower finds an event by a poll alone. On a slow machine one comes meanwhile in any case, but not for each.
  let before = await polls(url);
  for (let index = 2, isPolled = true; isPolled; index += 1) {
    assert.ok(index < 1_000, "each of 1,000 events came with a poll");
    const next = take(events, 1);
    await driver.insertEvent("s", eventAt("s", index));
    assert.deepEqual(indexes(await next), [index]);
    const now = await polls(url);
    isPolled = now.probes > before.probes;
    before = now;
  }
});

test(
  "an event that is committed after the one that follows it is waited for, and comes late when it takes too long",
  PATIENCE,
  async (t) => {
    const url = await server.createDatabase();
    const driver = open(t, url);
    await driver.ready();
    const events = driver.tailEvents({ sessionId: "s" });
    const other = await otherConnection(t, url);
    const insert = (index: number) => driver.insertEvent("s", eventAt("s", index, { createdAt: Date.now() }));
    const hold = async (index: number) => {
      await other.run("BEGIN");
      await other.run(
        `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
       VALUES ($1, $2, 's', $3, 'c', 'agent', '{}')`,
        [`s-${index}`, index, Date.now()],
      );
    };
    let index = 0;
    for (let took = Infinity; took > 200;) {
      const next = take(events, 2);
      await hold((index += 1));
      const began = performance.now();
      await insert((index += 1));
      await other.run("COMMIT");
      took = performance.now() - began;
      // Where the machine took its time the follower may have gone on.
      const expected = took > 200 ? inOrder(await next) : await next;
      assert.deepEqual(indexes(expected), [index - 1, index]);
    }
    await hold(index + 1);
    await insert(index + 2);
    assert.deepEqual(indexes(await take(events, 1)), [index + 2]);
    const late = take(events, 1);
    await other.run("COMMIT");
    assert.deepEqual(indexes(await late), [index + 1]);
    await insert(index + 3);
    assert.deepEqual(indexes(await take(events, 1)), [index + 3]);
  },
);

test("1,000 followers of a driver have one connection and one query a poll", PATIENCE, async (t) => {
  const url = await server.createDatabase();
  const [driver, writer] = [open(t, url), open(t, url)];
  await Promise.all([driver.ready(), writer.ready()]);
  const names = upTo(1_000).map((number) => `s-${number}`);
  const followers = names.map((sessionId) => driver.tailEvents({ sessionId }));
  const before = { backends: await backends(url), ...(await polls(url)) };
  for (let round = 1; round <= 5; round += 1) {
    const next = followers.map((events) => take(events, 1));
    await Promise.all(names.map((name) => writer.insertEvent(name, eventAt(name, round))));
    const events = await Promise.all(next);
    assert.deepEqual(new Set(events.map(([{ id }]) => id)), new Set(names.map((name) => `${name}-${round}`)));
  }
  const { probes, queries } = await polls(url);
  const [polled, looked] = [probes - before.probes, queries - before.queries];
  // Beside the polls some look for what was stored before they came, many at once. One by one they would look 5,000 times.
  assert.ok(looked < polled + 1_000, `${looked} looks for 5,000 events in ${polled} polls`);
  // The writer's may have come meanwhile.
  await writer.close();
  assert.ok((await backends(url)).length <= before.backends.length + 1);
});

test("while nobody waits for an event nothing is asked, and no connection is kept", PATIENCE, async (t) => {
  const url = await server.createDatabase();
  const [driver, writer] = [open(t, url, { idleTimeoutMs: 400 }), open(t, url, { idleTimeoutMs: 400 })];
  const events = driver.tailEvents({ sessionId: "s" });
  await writer.insertEvent("s", eventAt("s", 1));
  await take(events, 1);
  while ((await backends(url)).length > 0) await delay(20);
  const next = take(events, 1);
  await writer.insertEvent("s", eventAt("s", 2));
  assert.deepEqual(indexes(await next), [2]);
  const waiting = events.next();
  await events.return!();
  assert.deepEqual(await waiting, { value: undefined, done: true });
  while ((await backends(url)).length > 0) await delay(20);
});

test("with two connections followers hold up neither pages nor lookups nor writes", PATIENCE, async (t) => {
  const url = await server.createDatabase();
  const driver = open(t, url, { maxConnections: 2, acquireTimeoutMs: 20_000 });
  const followers = upTo(20).map((number) => driver.tailEvents({ sessionId: `s-${number}` }));
  const taken = followers.map((events) => take(events, 20));
  for (const index of upTo(20)) {
    await Promise.all(upTo(20).map((number) => driver.insertEvent(`s-${number}`, eventAt(`s-${number}`, index))));
    const [page, session] = await Promise.all([driver.listEvents({ sessionId: "s-1" }), driver.getSession("s-1")]);
    assert.deepEqual([page.items.length, session], [index, undefined]);
  }
  for (const events of await Promise.all(taken)) assert.deepEqual(indexes(events), upTo(20));
  assert.ok((await backends(url)).length <= 2);
});

test("a worker thread that is ended while it follows leaves nothing behind", PATIENCE, async (t) => {
  const url = await server.createDatabase();
  const writer = open(t, url);
  await writer.insertEvent("s", eventAt("s", 1));
  const worker = new Worker(join(import.meta.dirname, "support/programs/tail-in-worker.mjs"), {
    workerData: { storage: { driver: "Postgres", options: { connectionString: url } }, sessionId: "s" },
    execArgv: [],
  });
  assert.deepEqual(await once(worker, "message"), [1]);
  await writer.insertEvent("s", eventAt("s", 2));
  assert.deepEqual(await once(worker, "message"), [2]);
  await writer.close();
  await worker.terminate();
  while ((await backends(url)).length > 0) await delay(20);
});

test("a session that another driver has deleted ends its followers", PATIENCE, async (t) => {
  const url = await server.createDatabase();
  const [driver, other] = [open(t, url), open(t, url)];
  await driver.insertEvent("s", eventAt("s", 1));
  const events = driver.tailEvents({ sessionId: "s" });
  await take(events, 1);
  const next = events.next();
  assert.equal(await other.deleteSession("s"), true);
  assert.deepEqual(await next, { value: undefined, done: true });
});

test("where deleted sessions cannot be looked for any more, followers end with the reason", PATIENCE, async (t) => {
  const url = await server.createDatabase();
  const owner = open(t, url);
  await owner.insertEvent("s", eventAt("s", 1));
  await query(
    url,
    `CREATE ROLE follower LOGIN PASSWORD 'p';
     GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO follower`,
  );
  const own = new URL(url);
  own.username = "follower";
  own.password = "p";
  const events = open(t, own.href, { migrate: false }).tailEvents({ sessionId: "s" });
  await take(events, 1);
  const next = events.next();
  await query(url, "REVOKE SELECT ON deleted_sessions FROM follower");
  await assert.rejects(next, { code: "ERR_PERSIST_UNAVAILABLE", sqlState: "42501" });
});

test(
  "a session that cannot be read, or that the database cannot have, does not end the followers of others",
  PATIENCE,
  async (t) => {
    const url = await server.createDatabase("ENCODING 'LATIN1'");
    const [driver, writer] = [open(t, url), open(t, url)];
    await driver.ready();
    const [good, damaged, ...impossible] = ["good", "damaged", "密", "a\u0000b"].map((sessionId) =>
      driver.tailEvents({ sessionId }),
    );
    const pending = impossible.map((events) => events.next());
    const failed = assert.rejects(damaged.next(), {
      code: "ERR_PERSIST_CORRUPT",
      message: /session "damaged".*created_at/,
    });
    const next = take(good, 2);
    await query(
      url,
      `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     VALUES ('x', 1, 'damaged', 9007199254740993, 'c', 'agent', '{}')`,
    );
    await failed;
    for (const index of [1, 2]) await writer.insertEvent("good", eventAt("good", index));
    assert.deepEqual(indexes(await next), [1, 2]);
    await Promise.all(impossible.map((events) => events.return!()));
    for (const each of await Promise.all(pending)) assert.deepEqual(each, { value: undefined, done: true });
  },
);

describe(
  "through PgBouncer in transaction mode, with one connection to the server",
  { skip: skipWithoutPgBouncer() },
  async () => {
    const pgbouncer = await startPgBouncer(server, ["default_pool_size = 1", "server_reset_query ="]);
    after(pgbouncer.cleanup);

    test(
      "followers of two drivers share it with writes, also when the pooler was killed meanwhile",
      PATIENCE,
      async (t) => {
        const url = pgbouncer.urlOf(await server.createDatabase());
        const drivers = [open(t, url), open(t, url)];
        await drivers[0].ready();
        const followers = drivers.map((driver) => driver.tailEvents({ sessionId: "s" }));
        const taken = followers.map((events) => take(events, 40));
        for (const index of upTo(40)) {
          if (index === 20) {
            await pgbouncer.kill();
            await pgbouncer.start();
          }
          await drivers[index % 2].insertEvent("s", eventAt("s", index));
        }
        for (const events of await Promise.all(taken)) assert.deepEqual(indexes(events), upTo(40));
      },
    );
  },
);
