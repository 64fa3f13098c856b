/** Many drivers make tables ready at once, migrations are interrupted, take long, and run beside programs that write. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";

import pg from "pg";

import { PostgresSessionPersistDriver } from "../index.js";
import { LAYOUT_0_4, rowsOf, storeEvent } from "./support/postgres/layouts.mts";
import { contentsOf, makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt } from "./support/records.mts";
import { start } from "./support/process.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;

const timeout = 120_000;

/** Events of before, with two at one place. */
const FILLED = `${LAYOUT_0_4} ${rowsOf([["a", 1, "s", 1], ["b", 1, "s", 2], ["c", 3, "s", 3]])}`; // prettier-ignore

const placesIn = async (schema: string, session: string) => {
  const rows = await query(
    url,
    `SELECT id, event_index FROM "${schema}".events WHERE session_id = $1 ORDER BY event_index`,
    [session],
  );
  return rows.map(({ id, event_index }) => [id, Number(event_index)]);
};

/** The tables and indexes of a schema, in words without their names. */
const shapeOf = async (schema: string) => {
  const rows = await query(
    url,
    `SELECT relname AS name, relkind::text AS kind, pg_get_indexdef(i.indexrelid) AS index FROM pg_class c
     LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
     AND relkind IN ('r', 'i') ORDER BY relname`,
    [schema],
  );
  return rows.map(({ name, kind, index }) => [name, kind, index?.replaceAll(schema, "").replaceAll('""', "")]);
};

/** Waits until the database answers a question with a row, and gives that. */
async function until<Row extends pg.QueryResultRow>(t: TestContext, sql: string, values: unknown[]): Promise<Row> {
  const client = new pg.Client(url);
  // When the test has failed meanwhile, the server may be gone.
  client.on("error", () => {});
  await client.connect();
  try {
    for (;;) {
      const { rows } = await client.query<Row>(sql, values);
      if (rows[0]) return rows[0];
      t.signal.throwIfAborted();
    }
  } finally {
    await client.end();
  }
}

/** The backend of that application which waits for a lock, once one has for so long. */
const waiting = (t: TestContext, application: string, forMs = 0) =>
  until<{ pid: number }>(
    t,
    `SELECT pid FROM pg_sleep(0.02), pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'
       AND clock_timestamp() - xact_start >= $2 * interval '1 ms'`,
    [application, forMs],
  );

/** Waits until no connection of that application is left. */
const noneLeft = (t: TestContext, application: string) =>
  until(t, "SELECT FROM pg_sleep(0.02) WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)", [
    application,
  ]);

/** Reads the events as another program would, and does not end its transaction until it is told to. */
async function holdEvents(t: TestContext, schema: string): Promise<() => Promise<void>> {
  const client = new pg.Client(url);
  await client.connect();
  t.after(() => client.end());
  await client.query(`BEGIN; SELECT FROM ${schema}.events`);
  return async () => void (await client.query("ROLLBACK"));
}

test("20 processes, and 20 drivers in one, make the same tables ready at once", { timeout }, async (t) => {
  const processes = Array.from({ length: 20 }, () => start(t, "postgres-open.mts"));
  await Promise.all(processes.map((process) => process.next()));
  await query(url, "CREATE ROLE careful SUPERUSER LOGIN PASSWORD 'careful'");
  await query(url, "ALTER ROLE careful SET default_transaction_isolation = serializable");
  const careful = new URL(url);
  careful.username = careful.password = "careful";
  const expected = async (sql: string) => {
    const schema = await makeSchema(url, sql);
    await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema });
    await driver.ready();
    return shapeOf(schema);
  };

  for (const [what, connectionString, schema, shape] of [
    ["an empty schema", url, await makeSchema(url), await expected("")],
    ["no schema", url, "not there yet", await expected("")],
    ["tables of 0.4", url, await makeSchema(url, FILLED), await expected(FILLED)],
    [
      "tables of 0.4, where transactions are serializable",
      careful.href,
      await makeSchema(url, FILLED),
      await expected(FILLED),
    ],
  ] as const) {
    const options = { connectionString, schema, maxConnections: 2 };
    const drivers = Array.from({ length: 20 }, () => new PostgresSessionPersistDriver(options));
    try {
      for (const [number, process] of processes.entries()) process.send({ options, session: `process-${number}` });
      await Promise.all(
        drivers.map((driver, number) => driver.insertEvent(`driver-${number}`, eventAt(`driver-${number}`, 1))),
      );
      const answers = await Promise.all(processes.map((process) => process.next<string>()));
      assert.deepEqual(answers, Array(20).fill("stored"), what);
    } finally {
      await Promise.all(drivers.map((driver) => driver.close()));
    }
    assert.deepEqual(await shapeOf(schema), shape, what);
    assert.deepEqual(await query(url, `SELECT version FROM "${schema}".persist_version`), [{ version: "1" }]);
    assert.equal((await query(url, `SELECT FROM "${schema}".events WHERE session_id <> 's'`)).length, 40);
    const kept = what.includes("0.4") ? [["a", 1], ["b", 2], ["c", 3]] : []; // prettier-ignore
    assert.deepEqual(await placesIn(schema, "s"), kept);
  }
});

test("a migration whose process is killed leaves everything as it was", { timeout }, async (t) => {
  const schema = await makeSchema(url, FILLED);
  const before = await contentsOf(url, schema);
  const release = await holdEvents(t, schema);
  const child = start(t, "postgres-open.mts");
  await child.next();
  const applicationName = "killed";
  child.send({ options: { connectionString: url, schema, applicationName }, session: "never" });
  await waiting(t, applicationName);
  child.kill("SIGKILL");
  await child.ended;
  await release();
  await noneLeft(t, applicationName);
  assert.deepEqual(await contentsOf(url, schema), before);

  await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema });
  await driver.insertEvent("s", eventAt("s", 4));
  assert.deepEqual(await placesIn(schema, "s"), [["a", 1], ["b", 2], ["c", 3], ["s-4", 4]]); // prettier-ignore
});

test(
  "a migration whose backend is ended leaves everything as it was, and is done by the next try",
  { timeout },
  async (t) => {
    const schema = await makeSchema(url, FILLED);
    const before = await contentsOf(url, schema);
    const release = await holdEvents(t, schema);
    const child = start(t, "postgres-open.mts");
    await child.next();
    const applicationName = "ended";
    child.send({ options: { connectionString: url, schema, applicationName }, session: "other" });
    const { pid } = await waiting(t, applicationName);
    // It would try again at once.
    child.kill("SIGSTOP");
    await server.terminate(pid);
    await release();
    assert.deepEqual(await contentsOf(url, schema), before);
    child.kill("SIGCONT");
    assert.equal(await child.next(), "stored");
    assert.deepEqual(await placesIn(schema, "s"), [["a", 1], ["b", 2], ["c", 3]]); // prettier-ignore
  },
);

test(
  "a migration that takes longer than queryTimeoutMs is awaited by all calls, and done once",
  { timeout },
  async (t) => {
    const schema = await makeSchema(url, FILLED);
    const release = await holdEvents(t, schema);
    const applicationName = "long";
    const options = { connectionString: url, schema, queryTimeoutMs: 400, acquireTimeoutMs: 400 };
    await using driver = new PostgresSessionPersistDriver({ ...options, applicationName });
    await using beside = new PostgresSessionPersistDriver({ ...options, applicationName: "beside" });
    let settled = 0;
    const calls: Promise<unknown>[] = [driver.ready(), driver.insertEvent("s", eventAt("s", 4)), driver.listSessions()];
    const { pid } = await waiting(t, applicationName);
    calls.push(beside.insertEvent("s", eventAt("s", 5)));
    for (const call of calls) call.then(() => (settled += 1), () => (settled += 1)); // prettier-ignore
    await waiting(t, "beside", 1_200);
    calls.push(driver.getSession("none"), driver.insertEvent("s", eventAt("s", 6)));
    await waiting(t, applicationName, 1_600);
    assert.equal(settled, 0);
    const backends = await query(url, "SELECT pid FROM pg_stat_activity WHERE application_name = $1", [
      applicationName,
    ]);
    assert.deepEqual(backends, [{ pid }]);
    await release();
    await Promise.all(calls);
    assert.deepEqual(
      (await placesIn(schema, "s")).map(([, index]) => index),
      [1, 2, 3, 4, 5, 6],
    );
  },
);

test("the timeouts of a role or database do not end a migration", { timeout }, async (t) => {
  const settings = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"];
  const releases: (() => Promise<void>)[] = [];
  const drivers = [];
  for (const setting of settings) {
    const schema = await makeSchema(url, FILLED);
    releases.push(await holdEvents(t, schema));
    const limited = new URL(url);
    limited.username = limited.password = `with_${setting}`;
    await query(url, `CREATE ROLE with_${setting} SUPERUSER LOGIN PASSWORD 'with_${setting}'`);
    await query(url, `ALTER ROLE with_${setting} SET ${setting} = '1s'`);
    drivers.push(
      new PostgresSessionPersistDriver({
        ...{ connectionString: limited.href, schema, applicationName: setting, queryTimeoutMs: 2_000 },
      }),
    );
  }
  try {
    const ready = Promise.all(drivers.map((driver) => driver.ready()));
    // One migrates, the others wait until it is done: both take longer than is allowed.
    await Promise.race([ready, Promise.all(settings.map((setting) => waiting(t, setting, 2_000)))]);
    for (const release of releases) await release();
    await ready;
    for (const driver of drivers) assert.equal((await allEvents(driver, "s")).length, 3);
  } finally {
    for (const release of releases) await release();
    await Promise.all(drivers.map((driver) => driver.close()));
  }
});

test("a pasted driver that writes all the while loses no event to the migration", { timeout }, async (t) => {
  const schema = await makeSchema(url, LAYOUT_0_4);
  const client = new pg.Client(url);
  await client.connect();
  t.after(() => client.end());
  await client.query(
    `INSERT INTO ${schema}.events SELECT 'old-' || n, n, 'old', n, 'c', 'agent', '{"n":1}' FROM generate_series(1, 20000) AS n`,
  );
  let written = 0;
  let over = false;
  const write = async () => {
    written += 1;
    await client.query(storeEvent(schema), [
      `w-${written}`,
      written,
      "pasted",
      written,
      "c",
      "agent",
      `{"n":${written}}`,
    ]);
  };
  const writing = (async () => {
    while (!over) await write();
    // And some more on the tables as they are now.
    for (let more = 0; more < 10; more += 1) await write();
  })();
  await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema });
  await driver.ready();
  over = true;
  await writing;
  assert.ok(written > 10);
  assert.deepEqual(
    (await allEvents(driver, "pasted")).map(({ eventIndex, payload }) => [eventIndex, payload]),
    Array.from({ length: written }, (_, at) => [at + 1, { n: at + 1 }]),
  );
  assert.equal((await allEvents(driver, "old", 5_000)).length, 20_000);
});
