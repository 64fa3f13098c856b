/** Writes of which the driver cannot know whether they are stored, since the answer was lost: they are stored once. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { type PostgresSessionPersistDriverOptions, PostgresSessionPersistDriver } from "../index.js";
import { type NetworkProxy, startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

let made = 0;

interface Parts {
  driver: PostgresSessionPersistDriver;
  proxy: NetworkProxy;
  /** Puts an event into the table as another program would. */
  insert(sessionId: string, eventIndex: number): Promise<void>;
  /** What is in the table: each event's id and index. */
  stored(sessionId: string): Promise<[id: string, eventIndex: number][]>;
}

/** A driver that has a network of its own, and connections that it has used. */
async function setUp(t: TestContext, options: PostgresSessionPersistDriverOptions = {}): Promise<Parts> {
  const schema = `unknown_${(made += 1)}`;
  const proxy = await startProxy(server);
  const driver = new PostgresSessionPersistDriver({
    connectionString: proxy.urlOf(server.url),
    schema,
    // A try gets half of it: so long does a connection that went silent hold up what was sent on it.
    queryTimeoutMs: 8_000,
    ...options,
  });
  t.after(async () => {
    await driver.close();
    await proxy.close();
  });
  await driver.insertEvent("first", eventAt("first", 1));
  await driver.updateSession(sessionOf("first"));
  return {
    driver,
    proxy,
    insert: async (sessionId, eventIndex) => {
      await query(
        server.url,
        `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
         VALUES ($1, $2, $3, 1, 'other', 'agent', '{}')`,
        [`other-${eventIndex}`, eventIndex, sessionId],
      );
    },
    stored: async (sessionId) => {
      const sql = `SELECT id, event_index FROM ${schema}.events WHERE session_id = $1 ORDER BY event_index, id`;
      return (await query(server.url, sql, [sessionId])).map((row) => [row.id, Number(row.event_index)]);
    },
  };
}

type Lose = (proxy: NetworkProxy, sql: RegExp) => Promise<void>;

const LOSSES: [string, Lose][] = [
  ["the answer is lost and the connection cut", (proxy, sql) => proxy.dropAnswerOnce(sql, "cut")],
  ["the answer is lost and the connection silent", (proxy, sql) => proxy.dropAnswerOnce(sql, "silence")],
  ["the request is lost and the connection cut", (proxy, sql) => proxy.dropRequestOnce(sql, "cut")],
  ["the request is lost and the connection silent", (proxy, sql) => proxy.dropRequestOnce(sql, "silence")],
];

const EVENTS = /^INSERT INTO \S*events/;
const SESSIONS = /^INSERT INTO \S*sessions/;
const COMMIT = /^COMMIT/;

for (const [what, lose] of LOSSES) {
  // Each waits for its own silence.
  describe(what, { concurrency: true }, () => {
    test("of one event: it is stored once", async (t) => {
      const { driver, proxy, stored } = await setUp(t);
      const lost = lose(proxy, EVENTS);
      const event = eventAt("s", 1);
      await driver.insertEvent("s", event);
      await lost;
      assert.equal(event.eventIndex, 1);
      assert.deepEqual(await stored("s"), [["s-1", 1]]);
      assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
    });

    test("of many events in many sessions: each is stored once, at its own index", async (t) => {
      const { driver, proxy, stored } = await setUp(t);
      const lost = lose(proxy, /^INSERT INTO \S*events.*unnest/s);
      const sessions = ["a", "b", "c"];
      const indexes = Array.from({ length: 100 }, (_, number) => number + 1);
      await Promise.all(
        indexes.flatMap((index) => sessions.map((session) => driver.insertEvent(session, eventAt(session, index)))),
      );
      await lost;
      for (const session of sessions) {
        assert.deepEqual(
          await stored(session),
          indexes.map((index) => [`${session}-${index}`, index]),
        );
      }
    });

    for (const [part, sql] of [
      ["a record among events", SESSIONS],
      ["events beside a record", EVENTS],
      ["the end of a transaction", COMMIT],
    ] as const) {
      test(`of ${part}: each event is stored once, and so is the record`, async (t) => {
        const { driver, proxy, stored } = await setUp(t);
        const lost = lose(proxy, sql);
        const indexes = Array.from({ length: 20 }, (_, number) => number + 1);
        await Promise.all(
          indexes.flatMap((index) => [
            driver.insertEvent("s", eventAt("s", index)),
            driver.updateSession(sessionOf("s", { lastConnectionId: String(index) })),
          ]),
        );
        await lost;
        assert.deepEqual(
          await stored("s"),
          indexes.map((index) => [`s-${index}`, index]),
        );
        assert.deepEqual(await driver.getSession("s"), sessionOf("s", { lastConnectionId: "20" }));
        assert.equal((await driver.listSessions()).items.length, 2);
      });
    }

    test("of a record: it is stored", async (t) => {
      const { driver, proxy } = await setUp(t);
      const lost = lose(proxy, SESSIONS);
      await driver.updateSession(sessionOf("s"));
      await lost;
      assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
      assert.equal((await driver.listSessions()).items.length, 2);
    });

    for (const [part, sql] of [
      ["events whose places are taken", EVENTS],
      ["the end of their transaction", COMMIT],
    ] as const) {
      test(`of ${part}: each is stored once, at the index that its object has`, async (t) => {
        const { driver, proxy, insert, stored } = await setUp(t);
        await insert("s", 1);
        const first = eventAt("s", 1, { id: "mine-1" });
        await driver.insertEvent("s", first);
        assert.equal(first.eventIndex, 2, "from now on the driver knows that others write to this session");

        const lost = lose(proxy, sql);
        const events = [2, 3, 4].map((number) => eventAt("s", number, { id: `mine-${number}` }));
        await Promise.all([
          ...events.map((event) => driver.insertEvent("s", event)),
          driver.updateSession(sessionOf("s")),
        ]);
        await lost;
        assert.deepEqual(await stored("s"), [
          ["other-1", 1],
          ...[first, ...events].map((event) => [event.id, event.eventIndex]),
        ]);
        assert.deepEqual(
          events.map((event) => event.eventIndex),
          [3, 4, 5],
        );
        assert.deepEqual(await driver.getSession("s"), sessionOf("s"));
      });
    }

    test("of one event, with `reject`: it is in no conflict with itself", async (t) => {
      const { driver, proxy, stored } = await setUp(t, { onEventIndexConflict: "reject" });
      const lost = lose(proxy, EVENTS);
      const event = eventAt("s", 1);
      await driver.insertEvent("s", event);
      await lost;
      assert.equal(event.eventIndex, 1);
      assert.deepEqual(await stored("s"), [["s-1", 1]]);
    });

    test("of one event, and others write meanwhile: it is stored once, at the index that its object has", async (t) => {
      const { driver, proxy, insert, stored } = await setUp(t);
      const lost = lose(proxy, EVENTS);
      const event = eventAt("s", 1, { id: "mine" });
      const write = driver.insertEvent("s", event);
      await lost;
      // Whichever of the two places is left.
      const others = await Promise.allSettled([insert("s", 1), insert("s", 2)]);
      assert.ok(others.some(({ status }) => status === "fulfilled"));
      await write;
      const events = await stored("s");
      assert.deepEqual(
        events.filter(([id]) => id === "mine"),
        [["mine", event.eventIndex]],
      );
      assert.equal(new Set(events.map(([, index]) => index)).size, events.length);
    });
  });
}

test("what a connection that was silent still holds is stored by it no second time", async (t) => {
  const applicationName = "silent";
  const { driver, proxy, insert, stored } = await setUp(t, { queryTimeoutMs: 2_000, applicationName });
  await insert("taken", 1);
  for (let round = 1; round <= 3; round += 1) {
    proxy.pauseExisting();
    await Promise.all([
      driver.insertEvent("s", eventAt("s", round)),
      driver.insertEvent("taken", eventAt("taken", round)),
    ]);
    proxy.resume();
  }
  await driver.close();
  // When the server has closed its side too, it has done all that it was asked for.
  const left = "SELECT FROM pg_stat_activity WHERE application_name = $1";
  while ((await query(server.url, left, [applicationName])).length > 0) await delay(20);
  assert.deepEqual(
    await stored("s"),
    [1, 2, 3].map((index) => [`s-${index}`, index]),
  );
  assert.deepEqual(await stored("taken"), [
    ["other-1", 1],
    ...[1, 2, 3].map((number) => [`taken-${number}`, number + 1]),
  ]);
});

test("an event that may be stored at another index says so when it rejects, and is stored once when it is tried again", async (t) => {
  const { driver, proxy, insert, stored } = await setUp(t, { queryTimeoutMs: 1_500 });
  await insert("taken", 0);
  // The session is known to be written by others, so that the next event goes straight to its transaction.
  await driver.insertEvent("taken", eventAt("taken", 0, { id: "before" }));
  const event = eventAt("taken", 0, { id: "mine" });
  const lost = proxy.dropAnswerOnce(COMMIT, "silence").then(() => proxy.pause());
  await assert.rejects(driver.insertEvent("taken", event), { code: "ERR_PERSIST_TIMEOUT" });
  await lost;
  assert.equal(event.eventIndex, 2);
  proxy.resume();
  await driver.insertEvent("taken", event);
  assert.deepEqual(await stored("taken"), [["other-0", 0], ["before", 1], ["mine", 2]]); // prettier-ignore
});

test("an event that may be stored at another index says so when a right is missing at the next try", async (t) => {
  const { driver: owner, proxy, insert, stored } = await setUp(t);
  const schema = `unknown_${made}`;
  const rights = `INSERT, UPDATE ON ${schema}.events`;
  await query(
    server.url,
    `CREATE ROLE writer LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA ${schema} TO writer;
     GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO writer; GRANT ${rights} TO writer`,
  );
  await owner.close();
  const url = new URL(proxy.urlOf(server.url));
  Object.assign(url, { username: "writer", password: "secret" });
  const driver = new PostgresSessionPersistDriver({ connectionString: url.href, schema });
  t.after(() => driver.close());
  await insert("taken", 0);
  await driver.insertEvent("taken", eventAt("taken", 0, { id: "before" }));
  const event = eventAt("taken", 0, { id: "mine" });
  const lost = proxy.dropAnswerOnce(COMMIT).then(async () => {
    proxy.refuse();
    await query(server.url, `REVOKE ${rights} FROM writer`);
    await proxy.accept();
  });
  await assert.rejects(driver.insertEvent("taken", event), { sqlState: "42501" });
  await lost;
  assert.equal(event.eventIndex, 2);
  await query(server.url, `GRANT ${rights} TO writer`);
  await driver.insertEvent("taken", event);
  assert.deepEqual(await stored("taken"), [["other-0", 0], ["before", 1], ["mine", 2]]); // prettier-ignore
});

test("wherever in a conversation the connection breaks, each write is stored once, in order", async (t) => {
  const { driver, proxy, insert, stored } = await setUp(t, { queryTimeoutMs: 60_000 });
  await insert("taken", 1);
  const rounds = 60;
  let broken = 0;
  const taken = [];
  for (let round = 1; round <= rounds; round += 1) {
    const before = proxy.opened;
    // A conversation is 200 to 2,000 bytes, the beginning of a connection among them.
    void proxy.cutAfter(randomInt(1, 1_000), round % 2 ? "client" : "server");
    const event = eventAt("taken", round, { id: `mine-${round}` });
    taken.push(event);
    await Promise.all([
      driver.insertEvent("s", eventAt("s", round)),
      driver.insertEvent("taken", event),
      driver.updateSession(sessionOf("s", { lastConnectionId: String(round) })),
    ]);
    if (proxy.opened > before) broken += 1;
  }
  assert.ok(broken > rounds / 4, `only ${broken} connections broke`);
  assert.deepEqual(
    await stored("s"),
    taken.map((_, position) => [`s-${position + 1}`, position + 1]),
  );
  assert.deepEqual(await stored("taken"), [["other-1", 1], ...taken.map((event) => [event.id, event.eventIndex])]);
  assert.deepEqual(await driver.getSession("s"), sessionOf("s", { lastConnectionId: String(rounds) }));
});
