/** What the server refuses while many write: every write that waits is told, and the server is not asked about each of them. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver } from "../index.js";
import { trigger } from "./support/postgres/layouts.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { eventAt, sessionOf } from "./support/records.mts";

const server = await startServer({ settings: ["log_error_verbosity = terse", "log_min_error_statement = panic"] });
after(server.cleanup);
const { url } = server;

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);

let made = 0;

/** Ready tables, and a user who may do with them what a driver does. */
async function setUp() {
  const schema = await makeSchema(url);
  await using owner = new PostgresSessionPersistDriver({ connectionString: url, schema });
  await owner.ready();
  const role = `writer_${(made += 1)}`;
  await query(
    url,
    `CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA ${schema} TO ${role};
     GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`,
  );
  const own = new URL(url);
  own.username = role;
  own.password = "secret";
  return { schema, role, options: { connectionString: own.href, schema } };
}

/**
 * How many statements the server refuses, by what it says of them, while `act` runs. What it calls at once waits for the
 * tables first: were the driver told before the last call, how many statements it sends would depend on how quick it is.
 */
async function refusals(t: TestContext, schema: string, act: () => Promise<void>): Promise<Map<string, number>> {
  const mark = async () => {
    const name = `mark_${(made += 1)}`;
    await assert.rejects(query(url, `SELECT ${name}`));
    while (!server.log().includes(name)) await delay(5);
    return name;
  };
  const begin = await mark();
  const holder = await otherConnection(t, url);
  await holder.run(`BEGIN; LOCK TABLE ${schema}.events, ${schema}.sessions IN ACCESS EXCLUSIVE MODE`);
  const acted = act();
  await holder.run("COMMIT");
  await acted;
  const end = await mark();
  const log = server.log();
  const counts = new Map<string, number>();
  // What came so long before that it is not kept is none.
  for (const [, message] of log
    .slice(Math.max(log.lastIndexOf(begin), 0), log.indexOf(end))
    .matchAll(/ERROR: +(.*)/g)) {
    if (!message.includes("mark_")) counts.set(message, (counts.get(message) ?? 0) + 1);
  }
  return counts;
}

/** One by one it would be the 512 rows that wait, or more. How many batches are on their way at once is the driver's affair. */
const FEW = 100;

const total = (counts: Map<string, number>) => [...counts.values()].reduce((sum, count) => sum + count, 0);

/** So many writes at once, in so many sessions. */
const insert = (driver: PostgresSessionPersistDriver, sessions: number, from: number, each: number) =>
  Promise.allSettled(
    upTo(each).flatMap((number) =>
      upTo(sessions).map((session) => driver.insertEvent(`s${session}`, eventAt(`s${session}`, from + number))),
    ),
  );

const statuses = (results: PromiseSettledResult<void>[]) => [...new Set(results.map(({ status }) => status))];

for (const [waiting, each] of [
  [512, 1],
  [5_120, 10],
] as const) {
  test(`when the right to insert events is revoked while ${waiting} wait, records go on, and so do all once it is granted`, async (t) => {
    const { schema, role, options } = await setUp();
    await using driver = new PostgresSessionPersistDriver(options);
    assert.deepEqual(statuses(await insert(driver, 512, 0, 1)), ["fulfilled"]);
    await query(url, `REVOKE INSERT ON ${schema}.events FROM ${role}`);
    const refused = await refusals(t, schema, async () => {
      const [events, records] = await Promise.all([
        insert(driver, 512, 1, each),
        Promise.allSettled(upTo(100).map((session) => driver.updateSession(sessionOf(`s${session}`)))),
      ]);
      assert.deepEqual(statuses(events), ["rejected"]);
      for (const result of events) {
        assert.equal((result as PromiseRejectedResult).reason.sqlState, "42501");
        assert.equal((result as PromiseRejectedResult).reason.code, "ERR_PERSIST_UNAVAILABLE");
      }
      assert.deepEqual(statuses(records), ["fulfilled"]);
    });
    assert.ok(total(refused) >= 1 && total(refused) <= FEW, `the server refused ${total(refused)} statements`);
    await query(url, `GRANT INSERT ON ${schema}.events TO ${role}`);
    assert.deepEqual(statuses(await insert(driver, 512, 1, each)), ["fulfilled"]);
    const [{ count }] = await query(url, `SELECT count(*)::int FROM ${schema}.events`);
    assert.equal(count, 512 + waiting);
  });
}

test("when the right to write records is missing, events go on", async (t) => {
  const { schema, role, options } = await setUp();
  await using driver = new PostgresSessionPersistDriver(options);
  await driver.ready();
  await query(url, `REVOKE UPDATE ON ${schema}.sessions FROM ${role}`);
  const refused = await refusals(t, schema, async () => {
    const [events, records] = await Promise.all([
      insert(driver, 512, 0, 2),
      Promise.allSettled(upTo(512).map((session) => driver.updateSession(sessionOf(`s${session}`)))),
    ]);
    assert.deepEqual(statuses(events), ["fulfilled"]);
    assert.deepEqual(statuses(records), ["rejected"]);
  });
  assert.ok(total(refused) >= 1 && total(refused) <= FEW, `the server refused ${total(refused)} statements`);
});

test("in a session that others write to as well, a right that is missing on one table refuses that table's writes alone", async (t) => {
  const { schema, role, options } = await setUp();
  await using driver = new PostgresSessionPersistDriver(options);
  await using other = new PostgresSessionPersistDriver(options);
  await other.insertEvent("s1", eventAt("s1", 1, { id: "other" }));
  // From now on the driver knows of the others.
  await driver.insertEvent("s1", eventAt("s1", 1));
  for (const table of ["events", "sessions"]) {
    await query(url, `REVOKE ALL ON ${schema}.${table} FROM ${role}`);
    const refused = await refusals(t, schema, async () => {
      const events = upTo(2_000).map((index) => driver.insertEvent("s1", eventAt("s1", 10_000 + index)));
      const [eventsDone, recordsDone] = await Promise.all([
        Promise.allSettled(events),
        Promise.allSettled([driver.updateSession(sessionOf("s1"))]),
      ]);
      const [bad, good] = table === "events" ? [eventsDone, recordsDone] : [recordsDone, eventsDone];
      assert.deepEqual(statuses(bad), ["rejected"]);
      assert.deepEqual(statuses(good), ["fulfilled"]);
    });
    assert.ok(total(refused) >= 1 && total(refused) <= FEW, `the server refused ${total(refused)} statements`);
    await query(url, `GRANT SELECT, INSERT, UPDATE ON ${schema}.${table} TO ${role}`);
  }
});

test("a reason that is not known to be a row's own refuses the rest once it has refused two rows alone", async (t) => {
  const { schema, role, options } = await setUp();
  await using driver = new PostgresSessionPersistDriver(options);
  await driver.ready();
  // Each row takes a number from a sequence of the owner's, which the user may not use.
  await query(url, `ALTER TABLE ${schema}.events ADD number BIGSERIAL`);
  const refused = await refusals(t, schema, async () => {
    const [events, records] = await Promise.all([
      insert(driver, 512, 0, 4),
      Promise.allSettled(upTo(512).map((session) => driver.updateSession(sessionOf(`s${session}`)))),
    ]);
    assert.deepEqual(statuses(events), ["rejected"]);
    assert.deepEqual(statuses(records), ["fulfilled"]);
  });
  assert.ok(total(refused) >= 2 && total(refused) <= 200, `the server refused ${total(refused)} statements`);
  await query(url, `GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${role}`);
  assert.deepEqual(statuses(await insert(driver, 512, 0, 4)), ["fulfilled"]);
});

/** What refuses the events of every tenth session, and them alone. */
const OWN_REASONS: [what: string, sql: string, sqlState: string][] = [
  [
    "row level security",
    `ALTER TABLE events ENABLE ROW LEVEL SECURITY; CREATE POLICY writing ON events FOR INSERT WITH CHECK (session_id NOT LIKE '%0');
       CREATE POLICY reading ON events FOR SELECT USING (true)`,
    "42501",
  ],
  [
    "a trigger",
    trigger(
      "rule",
      "BEFORE INSERT ON events",
      "IF NEW.session_id LIKE '%0' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW;",
    ),
    "P0001",
  ],
  [
    "a trigger that lacks a right of its own",
    `CREATE TABLE audit (id TEXT);
       ${trigger("audited", "BEFORE INSERT ON events", "IF NEW.session_id LIKE '%0' THEN INSERT INTO SCHEMA.audit VALUES (NEW.id); END IF; RETURN NEW;")}`,
    "42501",
  ],
  [
    "a trigger that needs a table which is gone",
    trigger(
      "audited",
      "BEFORE INSERT ON events",
      "IF NEW.session_id LIKE '%0' THEN INSERT INTO gone VALUES (NEW.id); END IF; RETURN NEW;",
    ),
    "42P01",
  ],
  [
    "a CHECK in which a function of the server's fails",
    "ALTER TABLE events ADD CHECK (session_id NOT LIKE '%0' OR current_setting('unset.' || session_id) IS NOT NULL)",
    "42704",
  ],
  ["a CHECK", "ALTER TABLE events ADD CHECK (session_id NOT LIKE '%0')", "23514"],
];

for (const [what, sql, sqlState] of OWN_REASONS) {
  test(`${what} that refuses some events of a batch refuses no other`, async () => {
    const { schema, options } = await setUp();
    await query(url, `SET search_path = ${schema}; ${sql.replaceAll("SCHEMA", schema)}`);
    await using driver = new PostgresSessionPersistDriver(options);
    await driver.ready();
    const results = await insert(driver, 200, 0, 2);
    const refused = results.filter((result) => result.status === "rejected");
    assert.equal(refused.length, 40);
    for (const { reason } of refused) assert.equal(reason.sqlState, sqlState);
    const stored = await query(url, `SELECT session_id FROM ${schema}.events`);
    assert.equal(stored.length, 360);
    assert.ok(stored.every((row) => !row.session_id.endsWith("0")));
  });
}
