/** Locks that others hold: on rows, on places that are not committed yet, and on whole tables. They hold up the sessions that they are on. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver } from "../index.js";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

// What a lock has refused is one line of the server's log.
const server = await startServer({ settings: ["log_error_verbosity = terse", "log_min_error_statement = panic"] });
after(server.cleanup);

/** How often the server has given up a wait for a lock. */
const givenUp = () => server.log().split("lock timeout").length;

/** Waits until it has done so that many times more. */
async function giveUp(times: number): Promise<void> {
  const goal = givenUp() + times;
  while (givenUp() < goal) await delay(10);
}

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);

function open(t: TestContext, connectionString: string, options = {}): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString, ...options });
  t.after(() => driver.close());
  return driver;
}

/** Inserts an event into the table as another program would, in the transaction that it is in. */
const INSERT = `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
  VALUES ('other', $2, $1, 1, 'other', 'agent', '{}')`;

/** A driver with sessions that write, each awaiting every write: events, and a record now and then. */
class Load {
  readonly driver: PostgresSessionPersistDriver;
  /** How many events each has stored. */
  readonly stored = new Map<string, number>();
  #ended = false;
  #heard = () => {};
  readonly #sessions: Promise<void>[];

  constructor(t: TestContext, connectionString: string, sessions: string[], options = {}) {
    const driver = new PostgresSessionPersistDriver({ connectionString, ...options });
    this.driver = driver;
    t.after(() => {
      // Whatever came of the test: the driver goes on for as long as it is called.
      this.#ended = true;
      return driver.close();
    });
    this.#sessions = sessions.map(async (session, number) => {
      this.stored.set(session, 0);
      for (let index = 1; !this.#ended; index += 1) {
        await driver.insertEvent(session, eventAt(session, index));
        this.stored.set(session, index);
        this.#heard();
        if ((index + number) % 16 === 0) await driver.updateSession(sessionOf(session));
      }
    });
  }

  /** Waits until each session has stored so many more events. */
  async progress(count: number): Promise<void> {
    for (const [session, before] of [...this.stored]) {
      while (this.stored.get(session)! < before + count) await new Promise<void>((resolve) => (this.#heard = resolve));
    }
  }

  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#sessions);
  }
}

/** How many events each session of each load stores until this has come true. */
async function storedUntil(event: Promise<unknown>, ...loads: Load[]): Promise<number[][]> {
  const before = loads.map(({ stored }) => new Map(stored));
  await event;
  return loads.map(({ stored }, load) => [...stored].map(([name, count]) => count - before[load].get(name)!));
}

const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);

for (const [what, options] of [
  ["8 sessions are locked", {}],
  ["8 sessions are locked, and the driver has one connection for writes", { maxConnections: 2 }],
] as const) {
  test(`while ${what}, 504 others go on at their speed, and none is left behind`, async (t) => {
    const url = await server.createDatabase();
    await open(t, url).ready();
    const others = upTo(504).map((number) => `session-${number}`);
    const load = new Load(t, url, others, options);
    // The same beside it, on a driver whose sessions are not locked: the machine is not always as fast.
    const free = new Load(
      t,
      url,
      upTo(504).map((number) => `free-${number}`),
      options,
    );
    const { driver } = load;
    const names = upTo(8).map((number) => `locked-${number}`);
    await Promise.all(names.map((name) => driver.updateSession(sessionOf(name))));
    await Promise.all([load.progress(3), free.progress(3)]);

    const other = await otherConnection(t, url);
    await other.run("BEGIN");
    for (const [number, name] of names.entries()) {
      if (number % 2) await other.run("SELECT FROM sessions WHERE id = $1 FOR UPDATE", [name]);
      else await other.run(INSERT, [name, 2]);
    }
    let released = false;
    const writes = names.map(async (name) => {
      const record = driver.updateSession(sessionOf(name, { agent: "other" }));
      const events = [1, 2, 3].map((index) => driver.insertEvent(name, eventAt(name, index)));
      await Promise.all([record, ...events]);
      assert.ok(released, `a write to ${name} did not wait for the lock`);
    });
    // All are found to be locked, and then tried again and again.
    await giveUp(2 * names.length);
    const tried = Promise.all([giveUp(2 * names.length), free.progress(30)]);
    const [during, meanwhile] = await storedUntil(tried, load, free);
    released = true;
    await other.run("COMMIT");
    await Promise.all(writes);
    // A try with a locked session in it stands still: if the others were in such tries they would store a tenth.
    assert.ok(
      sum(during) >= sum(meanwhile) / 2,
      `${sum(during)} events were stored, and ${sum(meanwhile)} beside no locks`,
    );
    const least = Math.min(...during);
    assert.ok(least >= sum(during) / 504 / 3, `a session that is not locked stored ${least} events of ${sum(during)}`);
    await Promise.all([load.end(), free.end()]);

    for (const [number, name] of names.entries()) {
      const ids = (await allEvents(driver, name)).map(({ id }) => id);
      const [first, second, third] = upTo(3).map((index) => `${name}-${index}`);
      if (number % 2) assert.deepEqual(ids, [first, second, third]);
      else assert.deepEqual(ids.toSorted(), [first, second, third, "other"].toSorted());
      assert.deepEqual(await driver.getSession(name), sessionOf(name, { agent: "other" }));
    }
    const counted = await query(
      url,
      "SELECT session_id, count(*)::int FROM events WHERE session_id LIKE 'session-%' GROUP BY 1",
    );
    assert.deepEqual(
      new Map(counted.map((row) => [row.session_id, row.count])),
      new Map(others.map((name) => [name, load.stored.get(name)])),
    );
  });
}

test("a session that is locked for longer than `queryTimeoutMs` is told so, and its later writes are tried anew", async (t) => {
  const url = await server.createDatabase();
  const driver = open(t, url, { queryTimeoutMs: 2_000 });
  await driver.updateSession(sessionOf("locked"));
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run("SELECT FROM sessions WHERE id = 'locked' FOR UPDATE");
  const late = driver.updateSession(sessionOf("locked", { agent: "late" }));
  await Promise.all([
    assert.rejects(late, {
      code: "ERR_PERSIST_BUSY",
      sqlState: "55P03",
      message: /other transactions were in the way/,
    }),
    ...upTo(20).map((number) => driver.updateSession(sessionOf(`other-${number}`))),
  ]);
  const later = driver.updateSession(sessionOf("locked", { agent: "later" }));
  await other.run("COMMIT");
  await later;
  assert.deepEqual(await driver.getSession("locked"), sessionOf("locked", { agent: "later" }));
});

test("a session's later writes have their own time when the server is away at the end of an earlier one's", async (t) => {
  const holdUp = async (contested: boolean) => {
    const url = await server.createDatabase();
    const proxy = await startProxy(server);
    t.after(() => proxy.close());
    const session = `contested-${contested}`;
    const driver = open(t, proxy.urlOf(url), { queryTimeoutMs: 6_000 });
    await driver.updateSession(sessionOf(session));
    if (contested) {
      await query(url, INSERT, [session, 1]);
      await driver.insertEvent(session, eventAt(session, 1));
    }
    const other = await otherConnection(t, url);
    await other.run("BEGIN");
    await other.run("SELECT FROM sessions WHERE id = $1 FOR UPDATE", [session]);
    const early = driver.updateSession(sessionOf(session, { agent: "early" }));
    await other.isInTheWayOf(1);
    // So much more time the later one has.
    await delay(3_000);
    const later = driver.updateSession(sessionOf(session, { agent: "later" }));
    proxy.refuse();
    proxy.cut();
    await other.run("COMMIT");
    await Promise.all([
      assert.rejects(early, { code: /^ERR_PERSIST_(UNAVAILABLE|TIMEOUT)$/ }).then(() => proxy.accept()),
      later,
    ]);
    assert.deepEqual(await driver.getSession(session), sessionOf(session, { agent: "later" }));
  };
  await Promise.all([holdUp(false), holdUp(true)]);
});

test("a server that ends statements sooner than we give up a lock holds up the locked session alone as well", async (t) => {
  const url = await server.createDatabase();
  await query(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET statement_timeout = '80ms'`);
  const driver = open(t, url);
  await driver.updateSession(sessionOf("locked"));
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run("SELECT FROM sessions WHERE id = 'locked' FOR UPDATE");
  const locked = driver.updateSession(sessionOf("locked", { agent: "other" }));
  await Promise.all(upTo(100).map((number) => driver.updateSession(sessionOf(`other-${number}`))));
  await other.run("COMMIT");
  await locked;
  assert.deepEqual(await driver.getSession("locked"), sessionOf("locked", { agent: "other" }));
});

test("a server that ends statements soon stores many events of one session in as many statements as that takes", async (t) => {
  const url = await server.createDatabase();
  await open(t, url).ready();
  // However quick the machine is: a statement of more than 100 rows is too slow.
  await query(
    url,
    `CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_sleep(CASE WHEN (SELECT count(*) FROM stored) > 100 THEN 60 ELSE 0 END); RETURN NULL; END $$;
     CREATE TRIGGER take_time AFTER INSERT ON events REFERENCING NEW TABLE AS stored
       FOR EACH STATEMENT EXECUTE FUNCTION take_time()`,
  );
  await query(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET statement_timeout = '250ms'`);
  const driver = open(t, url, { queryTimeoutMs: 5_000 });
  const write = (session: string) => upTo(600).map((index) => driver.insertEvent(session, eventAt(session, index)));
  await Promise.all(write("one"));
  assert.deepEqual(
    await allEvents(driver, "one"),
    upTo(600).map((index) => eventAt("one", index)),
  );
  await query(url, INSERT, ["contested", 1]);
  await Promise.all(write("contested"));
  const ids = (await allEvents(driver, "contested")).map((event) => event.id);
  assert.deepEqual(ids, ["other", ...upTo(600).map((index) => `contested-${index}`)]);
});

for (const table of ["sessions", "events"]) {
  test(`a lock on the whole table of ${table} holds up everybody, and then they go on together`, async (t) => {
    const url = await server.createDatabase();
    await open(t, url).ready();
    const load = new Load(
      t,
      url,
      upTo(64).map((number) => `session-${number}`),
    );
    await load.progress(3);
    const other = await otherConnection(t, url);
    await other.run(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    await other.isInTheWayOf(1);
    // For longer than a lock on a row would be waited for.
    await delay(500);
    await other.run("COMMIT");
    const transactions = async () => {
      const [{ id }] = await query(url, "SELECT pg_current_xact_id()::text AS id");
      return Number(id);
    };
    await load.progress(3);
    const begin = await transactions();
    const [events] = await storedUntil(load.progress(10), load);
    const each = sum(events) / ((await transactions()) - begin);
    assert.ok(each > 8, `a transaction stored ${each} events`);
    await load.end();
  });
}

test("a lock on one session's record holds up the writes of that session alone", async (t) => {
  const url = await server.createDatabase();
  const driver = open(t, url);
  await driver.updateSession(sessionOf("locked"));
  await driver.updateSession(sessionOf("other-1"));
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run("SELECT FROM sessions WHERE id = 'locked' FOR UPDATE");

  let released = false;
  const locked = [
    driver.updateSession(sessionOf("locked", { agent: "other" })),
    driver.insertEvent("locked", eventAt("locked", 1)),
  ].map((write) => write.then(() => assert.ok(released, "a write did not wait for the lock")));
  await other.isInTheWayOf(1);
  for (let index = 1; index <= 100; index += 1) {
    await Promise.all(
      upTo(8).flatMap((number) => [
        driver.insertEvent(`other-${number}`, eventAt(`other-${number}`, index)),
        driver.updateSession(sessionOf(`other-${number}`)),
      ]),
    );
  }
  assert.deepEqual(await driver.getSession("locked"), sessionOf("locked"));
  released = true;
  await other.run("COMMIT");
  await Promise.all(locked);
  assert.deepEqual(await driver.getSession("locked"), sessionOf("locked", { agent: "other" }));
});

test(
  "a lock on one session's record does not hold up writes of other sessions that are made at the same moment",
  { timeout: 120_000 },
  async (t) => {
    const url = await server.createDatabase();
    // A try gets half of it, which is more than this test has: so long the other sessions must not wait.
    const driver = open(t, url, { queryTimeoutMs: 600_000 });
    await driver.updateSession(sessionOf("locked"));
    const other = await otherConnection(t, url);
    await other.run("BEGIN");
    await other.run("SELECT FROM sessions WHERE id = 'locked' FOR UPDATE");
    const names = upTo(8).map((number) => `other-${number}`);
    // What comes while this one is written becomes one batch.
    const first = driver.insertEvent("first", eventAt("first", 1));
    const locked = driver.updateSession(sessionOf("locked", { agent: "other" })).catch((error) => error);
    await Promise.all([first, ...names.map((name) => driver.insertEvent(name, eventAt(name, 1)))]);
    await Promise.all(names.map((name) => driver.insertEvent(name, eventAt(name, 2))));
    await other.run("COMMIT");
    // Whether it came in time is its own affair.
    const failure = await locked;
    if (failure) assert.equal(failure.code, "ERR_PERSIST_BUSY");
    for (const name of names) assert.equal((await allEvents(driver, name)).length, 2);
  },
);
