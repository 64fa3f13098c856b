/** Pages that are read ahead: what a scan shows of what is written meanwhile, and who waits for it. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import type { ListPage, SessionEvent } from "sandbox-agent";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

// Nobody counts the rows for the planner, as in tables that have just been filled.
const server = await startServer({ settings: ["autovacuum = off"] });
after(server.cleanup);

const EVENTS = 2_000;
const LIMIT = 10;

/** A driver on a database of its own, with a session "s" of `EVENTS` events: indexes 2, 4, 6 and so on. */
async function setUp(t: TestContext, options: PostgresSessionPersistDriverOptions = {}) {
  const connectionString = await server.createDatabase();
  const driver = new PostgresSessionPersistDriver({ connectionString, ...options });
  t.after(() => driver.close());
  await driver.updateSession(sessionOf("s"));
  await Promise.all(
    Array.from({ length: EVENTS }, (_, number) => driver.insertEvent("s", eventAt("s", 2 * number + 2))),
  );
  return { driver, url: connectionString };
}

/** Goes through the session "s", page by page. */
class Scan {
  readonly events: SessionEvent[] = [];
  #driver: PostgresSessionPersistDriver;
  #cursor: string | undefined;

  constructor(driver: PostgresSessionPersistDriver) {
    this.#driver = driver;
  }

  /** Reads the next pages, at most so many; false when the last page is among them. */
  async read(pages = Infinity): Promise<boolean> {
    for (let page = 0; page < pages; page += 1) {
      const { items, nextCursor }: ListPage<SessionEvent> = await this.#driver.listEvents({
        sessionId: "s",
        limit: LIMIT,
        cursor: this.#cursor,
      });
      this.events.push(...items);
      this.#cursor = nextCursor;
      if (!nextCursor) return false;
    }
    return true;
  }
}

const indexes = (events: SessionEvent[]) => events.map(({ eventIndex }) => eventIndex);

test("a scan shows what its driver has stored meanwhile, at once", async (t) => {
  const { driver } = await setUp(t);
  const scan = new Scan(driver);
  await scan.read(20);
  // The page that comes next has been read by now, or is being read.
  const replaced = eventAt("s", 20 * 2 * LIMIT + 2, { connectionId: "replaced" });
  await driver.insertEvent("s", replaced);
  await driver.insertEvent("s", eventAt("s", 20 * 2 * LIMIT + 5));
  await scan.read(1);
  assert.deepEqual(scan.events[20 * LIMIT], replaced);
  assert.deepEqual(indexes(scan.events.slice(20 * LIMIT, 20 * LIMIT + 3)), [402, 404, 405]);
  await scan.read();
  assert.equal(scan.events.length, EVENTS + 1);
});

test("a scan misses nothing that others add to the end before its last page", async (t) => {
  const { driver, url } = await setUp(t);
  const other = new PostgresSessionPersistDriver({ connectionString: url });
  t.after(() => other.close());
  const scan = new Scan(driver);
  let added = 0;
  while (await scan.read(1)) {
    added += 1;
    await other.insertEvent("s", eventAt("s", 2 * (EVENTS + added)));
  }
  assert.deepEqual(
    indexes(scan.events),
    Array.from({ length: EVENTS + added }, (_, number) => 2 * number + 2),
  );
});

test("a new scan shows nothing that was read ahead for one before it", async (t) => {
  const { driver, url } = await setUp(t);
  const first = new Scan(driver);
  await first.read(1);
  const second = new Scan(driver);
  // The second scan comes to where pages have been read for the first one.
  await first.read(4);
  await query(url, "DELETE FROM events WHERE event_index % 4 = 0");
  await second.read();
  assert.deepEqual(
    indexes(second.events),
    Array.from({ length: EVENTS / 2 }, (_, number) => 4 * number + 2),
  );
});

test("many scans at once, of one session and of many, get all events", async (t) => {
  const { driver } = await setUp(t);
  const sessions = Array.from({ length: 24 }, (_, number) => `other-${number}`);
  await Promise.all(
    sessions.flatMap((id) => Array.from({ length: 100 }, (_, at) => driver.insertEvent(id, eventAt(id, at)))),
  );
  const scans = Array.from({ length: 12 }, () => new Scan(driver));
  const [others] = await Promise.all([
    Promise.all(sessions.map((id) => allEvents(driver, id, 5))),
    ...scans.map((scan) => scan.read()),
  ]);
  for (const { events } of scans) assert.deepEqual(events, scans[0].events);
  assert.equal(scans[0].events.length, EVENTS);
  for (const events of others) assert.equal(events.length, 100);
});

test("a connection that breaks while pages are read ahead fails no call, and loses no event", async (t) => {
  const { driver: writer, url } = await setUp(t);
  const proxy = await startProxy(server);
  const driver = new PostgresSessionPersistDriver({ connectionString: proxy.urlOf(url) });
  t.after(async () => {
    await driver.close();
    await proxy.close();
  });
  const scan = new Scan(driver);
  await scan.read(3);
  const cut = proxy.cutAfter(100_000, "server");
  await Promise.all([scan.read(), cut]);
  assert.deepEqual(scan.events, await allEvents(writer, "s"));
});

test("a scan that is given up holds no connection, and close does not wait for it", async (t) => {
  const applicationName = "given-up";
  const { driver, url } = await setUp(t, { applicationName, maxConnections: 2 });
  const scan = new Scan(driver);
  await scan.read(5);
  assert.equal((await driver.getSession("s"))?.id, "s");
  await scan.read(5);
  await driver.close();
  const left = "SELECT FROM pg_stat_activity WHERE application_name = $1";
  while ((await query(url, left, [applicationName])).length > 0) await delay(10);
});

test("getSession does not wait for pages, however many there are", async (t) => {
  const { driver, url } = await setUp(t);
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run("LOCK TABLE events");
  const pages = Array.from({ length: 32 }, () => driver.listEvents({ sessionId: "s" }));
  // All connections that there are for pages.
  await other.isInTheWayOf(5);
  const found = await Promise.all(Array.from({ length: 100 }, () => driver.getSession("s")));
  assert.ok(found.every((record) => record?.id === "s"));
  await other.run("COMMIT");
  await Promise.all(pages);
});

test("a page costs the server its own rows, also when it does not know how long a session is", async (t) => {
  const { driver, url } = await setUp(t);
  await driver.close();
  const fetched = async () => {
    const [{ rows }] = await query(
      url,
      "SELECT (idx_tup_fetch + seq_tup_read)::int AS rows FROM pg_stat_user_tables WHERE relname = 'events'",
    );
    return rows as number;
  };
  const before = await fetched();
  const reader = new PostgresSessionPersistDriver({ connectionString: url, applicationName: "counted" });
  const scan = new Scan(reader);
  await scan.read();
  await reader.close();
  // A connection tells what it has counted when it ends.
  while ((await query(url, "SELECT FROM pg_stat_activity WHERE application_name = 'counted'")).length > 0)
    await delay(10);
  const rows = (await fetched()) - before;
  assert.ok(rows >= EVENTS && rows < 2 * EVENTS, `${rows} rows were fetched for ${EVENTS} events`);
});
