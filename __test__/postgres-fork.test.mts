/** Forks in Postgres: large ones, beside other processes, killed in the middle, with lost answers, and of tables that others have made. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { assertAllOrNothing, assertPrefix, fill } from "./support/forks.mts";
import { EVENTS, LAYOUT_0_4, rowsOf, SESSIONS_0_4, trigger } from "./support/postgres/layouts.mts";
import { startLoad } from "./support/postgres/load.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { type NetworkProxy, startProxy } from "./support/postgres/proxy.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { start } from "./support/process.mts";
import type { Outcome } from "./support/programs/fork-on-demand.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

function open(
  t: TestContext,
  schema: string,
  options: PostgresSessionPersistDriverOptions = {},
): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString: server.url, schema, ...options });
  t.after(() => driver.close());
  return driver;
}

const storage = (schema: string) =>
  JSON.stringify({ driver: "Postgres", options: { connectionString: server.url, schema } });

/** Adds events 2 to `last` as another program would. */
async function fillUp(table: string, session: string, last: number): Promise<void> {
  await query(
    server.url,
    `INSERT INTO ${table} (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     SELECT $1 || '-' || n, n, $1, n, 'c', 'agent', json_build_object('n', n) FROM generate_series(2, $2::int) AS n`,
    [session, last],
  );
}

test("100,000 events are copied, under a table prefix too, and take as long as they take", async (t) => {
  const schema = await makeSchema(server.url);
  // Each try has a quarter of a second: all together take longer.
  const driver = open(t, schema, { tablePrefix: "agents_", queryTimeoutMs: 500 });
  await fill(driver, "s", 1);
  await fillUp(`${schema}.agents_events`, "s", 100_000);
  await driver.forkSession("s", { id: "copy" });
  const table = `${schema}.agents_events`;
  const [counts] = await query(
    server.url,
    `SELECT count(*)::int AS events, count(DISTINCT id)::int AS ids FROM ${table} WHERE session_id = 'copy' AND id::uuid IS NOT NULL`,
  );
  assert.deepEqual(counts, { events: 100_000, ids: 100_000 });
  const rest = `event_index, created_at, connection_id, sender, payload_json::text, extra_json::text FROM ${table} WHERE session_id`;
  assert.deepEqual(await query(server.url, `SELECT ${rest} = 's' EXCEPT SELECT ${rest} = 'copy'`), []);
});

test("a fork that is killed in the middle is there whole, or not at all", async (t) => {
  const schema = await makeSchema(server.url);
  const driver = open(t, schema);
  await fill(driver, "s", 8_000);
  let next = start(t, "fork-on-demand.mts", [storage(schema)]);
  for (let round = 0; round < 2; round += 1) {
    const process = next;
    next = start(t, "fork-on-demand.mts", [storage(schema)]);
    assert.equal(await process.next(), "loaded");
    process.send({ source: "s", options: { id: `copy-${round}` } });
    assert.equal(await process.next(), "forking");
    await delay(randomInt(0, 200));
    process.kill("SIGKILL");
    await process.ended;
    // It waits for the server to end what it was told, which holds the lock of the session.
    const again = await driver.forkSession("s", { id: `copy-${round}` }).catch(({ code }) => code);
    if (again === "ERR_PERSIST_INVALID_ARGUMENT") await assertAllOrNothing(driver, "s", `copy-${round}`, 8_000);
    else assert.equal(await assertPrefix(driver, "s", `copy-${round}`), 8_000);
  }
});

test("of several processes that fork onto one id at once exactly one does", async (t) => {
  const schema = await makeSchema(server.url);
  const driver = open(t, schema);
  await Promise.all(["a", "b", "c"].map((source) => fill(driver, source, 500)));
  const processes = ["a", "b", "c"].map(
    (source) => [source, start(t, "fork-on-demand.mts", [storage(schema)])] as const,
  );
  for (const [, process] of processes) assert.equal(await process.next(), "loaded");
  for (let round = 0; round < 10; round += 1) {
    // Half of the rounds copy one session, the others each its own: then only the new id is what they share.
    for (const [source, process] of processes) {
      process.send({ source: round % 2 ? "a" : source, options: { id: `copy-${round}` } });
    }
    const outcomes = await Promise.all(
      processes.map(async ([, process]) => {
        assert.equal(await process.next(), "forking");
        return JSON.stringify(await process.next<Outcome>());
      }),
    );
    const refused = JSON.stringify({ code: "ERR_PERSIST_INVALID_ARGUMENT" });
    assert.deepEqual(outcomes.sort(), [refused, refused, JSON.stringify({ id: `copy-${round}` })]);
    const { forkedFrom } = await driver.getLabels(`copy-${round}`);
    assert.equal(await assertPrefix(driver, forkedFrom!, `copy-${round}`), 500);
  }
});

test("a fork waits for whoever holds the lock of its new id, and sees what that one has stored", async (t) => {
  const schema = await makeSchema(server.url);
  const driver = open(t, schema);
  await fill(driver, "s", 5);
  const other = await otherConnection(t, server.url);
  await other.run("BEGIN");
  await other.run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`"${schema}"."events" copy`]);
  await other.run(`INSERT INTO ${schema}.session_labels (session_id, name, value) VALUES ('copy', 'a', 'b')`);
  const fork = driver.forkSession("s", { id: "copy" });
  // Without the lock it would be done by now, or at the latest with this.
  await Promise.race([other.isInTheWayOf(1), fork]);
  await other.run("COMMIT");
  await assert.rejects(fork, { code: "ERR_PERSIST_INVALID_ARGUMENT", message: /there are labels of a session with/ });
  assert.deepEqual(await driver.getLabels("copy"), { a: "b" });
});

test("forks beside a process that writes to the source have its first events, with none missing, and hold up nobody", async (t) => {
  const url = await server.createDatabase();
  const load = await startLoad(t, { connectionString: url });
  const driver = new PostgresSessionPersistDriver({ connectionString: url });
  t.after(() => driver.close());
  const lengths: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    await load.progress();
    await driver.forkSession("session-0", { id: `copy-${round}` });
    const events = await allEvents(driver, `copy-${round}`);
    lengths.push(events.length);
    assert.deepEqual(
      events.map((event) => ({ ...event, id: "" })),
      events.map((_, at) => eventAt("session-0", at + 1, { id: "", sessionId: `copy-${round}` })),
    );
  }
  assert.ok(lengths.at(-1)! > lengths[0]!, `the source did not grow: ${lengths}`);
  // In the middle of a fork, which waits for a lock on a row of the copy's.
  const other = await otherConnection(t, url);
  await other.run("BEGIN");
  await other.run("INSERT INTO session_labels (session_id, name, value) VALUES ('held', 'forkedFrom', 'x')");
  const fork = driver.forkSession("session-0", { id: "held" });
  await other.isInTheWayOf(1);
  await Promise.all([load.progress(), driver.insertEvent("another", eventAt("another", 1))]);
  await other.run("ROLLBACK");
  await fork;
  await load.stop();
});

test("while a session is copied others write to it, label and copy it; who deletes it waits", async (t) => {
  const schema = await makeSchema(server.url);
  const driver = open(t, schema);
  await driver.updateSession(sessionOf("s"));
  for (const index of [1, 9_000]) await driver.insertEvent("s", eventAt("s", index));
  const body = `IF new.session_id = 'copy' THEN
    WHILE NOT pg_try_advisory_xact_lock(42) LOOP PERFORM pg_sleep(0.01); END LOOP; END IF; RETURN new;`;
  await query(server.url, `SET search_path = ${schema}; ${trigger("slow", "BEFORE INSERT ON events", body)}`);
  const other = await otherConnection(t, server.url);
  await other.run("BEGIN; SELECT pg_advisory_xact_lock(42)");
  const waits = async (condition: string) =>
    (await query(server.url, `SELECT 1 FROM pg_stat_activity WHERE ${condition}`)).length > 0;
  const fork = driver.forkSession("s", { id: "copy" });
  while (!(await waits("wait_event = 'PgSleep'"))) await delay(10);
  // One connection to write with: nothing may keep it.
  const writer = open(t, schema, { maxConnections: 2, queryTimeoutMs: 2_000 });
  await writer.insertEvent("s", eventAt("s", 9_000, { id: "contested" }));
  await Promise.all([
    writer.insertEvent("s", eventAt("s", 9_001, { id: "contested too" })),
    writer.updateSession(sessionOf("s")),
    writer.setLabels("s", { a: "b" }),
    writer.forkSession("s", { id: "another" }),
  ]);
  const deleter = open(t, schema);
  const deleted = deleter.deleteSession("s");
  while (!(await waits("wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE'"))) await delay(10);
  await other.run("COMMIT");
  await fork;
  assert.equal(await deleted, true);
  const events = await allEvents(driver, "copy");
  assert.deepEqual(
    events.slice(0, 2).map(({ eventIndex }) => eventIndex),
    [1, 9_000],
  );
  assert.equal((await allEvents(driver, "another")).length, 4);
});

const COMMIT = /^COMMIT/;
const LOSSES: [string, (proxy: NetworkProxy, sql: RegExp) => Promise<void>][] = [
  ["the answer is lost and the connection cut", (proxy, sql) => proxy.dropAnswerOnce(sql, "cut")],
  ["the answer is lost and the connection silent", (proxy, sql) => proxy.dropAnswerOnce(sql, "silence")],
  ["the request is lost and the connection cut", (proxy, sql) => proxy.dropRequestOnce(sql, "cut")],
];

describe("when nobody knows how it ended", { concurrency: true }, () => {
  /** A driver with a network of its own, and a session to fork. */
  async function setUp(t: TestContext) {
    const schema = await makeSchema(server.url);
    const proxy = await startProxy(server);
    const driver = open(t, schema, { connectionString: proxy.urlOf(server.url), queryTimeoutMs: 3_000 });
    t.after(() => proxy.close());
    await fill(driver, "s", 20);
    return { schema, proxy, driver };
  }

  for (const [what, lose] of LOSSES) {
    for (const [part, sql] of [
      ["its end", COMMIT],
      ["the copying", /^INSERT INTO \S*events/],
    ] as const) {
      test(`${what} of ${part}: it resolves, and is there once`, async (t) => {
        const { proxy, driver } = await setUp(t);
        const lost = lose(proxy, sql);
        const fork = await driver.forkSession("s", { id: "copy" });
        await lost;
        assert.deepEqual(fork, { ...sessionOf("s"), id: "copy" });
        assert.equal(await assertPrefix(driver, "s", "copy"), 20);
        assert.equal((await driver.listSessions()).items.length, 2);
      });
    }
  }

  test("a fork of somebody else's onto the same id meanwhile is not taken for its own", async (t) => {
    const { schema, proxy, driver } = await setUp(t);
    const lost = proxy.dropRequestOnce(COMMIT, "cut").then(() => proxy.refuse());
    const fork = driver.forkSession("s", { id: "copy" });
    await lost;
    await open(t, schema).forkSession("s", { id: "copy" });
    await proxy.accept();
    await assert.rejects(fork, { code: "ERR_PERSIST_INVALID_ARGUMENT", message: /there is a session with that id/ });
    assert.equal(await assertPrefix(driver, "s", "copy"), 20);
  });
});

test("the id of a session that was deleted is refused", async (t) => {
  const schema = await makeSchema(server.url);
  const driver = open(t, schema);
  await fill(driver, "s", 1);
  await query(server.url, `INSERT INTO ${schema}.deleted_sessions (id, deleted_at) VALUES ('gone', $1)`, [Date.now()]);
  await assert.rejects(driver.forkSession("s", { id: "gone" }), {
    code: "ERR_PERSIST_INVALID_ARGUMENT",
    message: /^session "s" cannot be forked to "gone": a session with that id was deleted less than 30 days ago; pass/,
  });
  await assert.rejects(driver.forkSession("gone"), { code: "ERR_PERSIST_NOT_FOUND" });
});

test("a record that came after its session was deleted cannot be forked", async (t) => {
  const schema = await makeSchema(server.url);
  const driver = open(t, schema);
  await driver.updateSession(sessionOf("s"));
  await query(server.url, `INSERT INTO ${schema}.deleted_sessions VALUES ('s', $1)`, [Date.now()]);
  await assert.rejects(open(t, schema).forkSession("s", { id: "copy" }), { code: "ERR_PERSIST_NOT_FOUND" });
  assert.equal(await driver.getSession("copy"), undefined);
});

test("the server's statement_timeout is an error that says so", async (t) => {
  const schema = await makeSchema(server.url);
  const patient = open(t, schema);
  await fill(patient, "s", 1);
  await query(
    server.url,
    `SET search_path = ${schema}; ${trigger("slow", "BEFORE INSERT ON events", "PERFORM pg_sleep(20); RETURN NEW;")}`,
  );
  const connectionString = `${server.url}?options=${encodeURIComponent("-c statement_timeout=1000")}`;
  const driver = open(t, schema, { connectionString });
  await assert.rejects(driver.forkSession("s", { id: "copy" }), {
    code: "ERR_PERSIST_TIMEOUT",
    sqlState: "57014",
    message: /^forking session "s" in .*`statement_timeout`; this needs more time: raise it for this user$/,
  });
  await assertAllOrNothing(driver, "s", "copy", 1);
});

test("adopted tables are forked, with columns and triggers of the owner's", async (t) => {
  const schema = await makeSchema(
    server.url,
    `CREATE TABLE sessions (${SESSIONS_0_4}, tenant TEXT NOT NULL DEFAULT 'me');
     CREATE TABLE events (${EVENTS.replace("event_index BIGINT", "event_index INTEGER")}, serial BIGSERIAL,
       FOREIGN KEY (session_id) REFERENCES sessions (id));
     CREATE TABLE log (id TEXT);
     INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, destroyed_at)
       VALUES ('s', 'mock', 'as', 'c', 1, 2);
     ${rowsOf([["a", 1, "s", 1], ["b", 2, "s", 2], ["c", 3, "s", 3]])}
     CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
       $$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END $$;
     CREATE TRIGGER logged AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION logged();`, // prettier-ignore
  );
  const driver = open(t, schema);
  const source = await allEvents(driver, "s");
  const fork = await driver.forkSession("s", { id: "copy", throughIndex: 2 });
  assert.deepEqual(fork, { id: "copy", agent: "mock", agentSessionId: "as", lastConnectionId: "c", createdAt: 1 });
  const copies = await allEvents(driver, "copy");
  assert.deepEqual(
    copies,
    source.slice(0, 2).map((event, at) => ({ ...event, id: copies[at]!.id, sessionId: "copy" })),
  );
  const logged = await query(server.url, `SELECT id FROM ${schema}.log`);
  assert.deepEqual(logged.map(({ id }) => id).sort(), copies.map(({ id }) => id).sort());
});

test("a row that a trigger of the owner's ignores makes the fork fail whole", async (t) => {
  const schema = await makeSchema(
    server.url,
    `${LAYOUT_0_4} INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at)
       VALUES ('s', 'mock', 'as', 'c', 1);
     ${rowsOf([["a", 1, "s", 1], ["b", 2, "s", 2]])}
     ${trigger("no_second", "BEFORE INSERT ON events", "RETURN CASE WHEN NEW.event_index < 2 THEN NEW END;")}`, // prettier-ignore
  );
  const driver = open(t, schema);
  await assert.rejects(driver.forkSession("s", { id: "copy" }), {
    code: "ERR_PERSIST_INVALID_ARGUMENT",
    message: /^forking session "s" in .* a trigger or rule of the table's owner ignored the row; it was not stored$/,
  });
  await assertAllOrNothing(driver, "s", "copy", 2);
  await driver.forkSession("s", { id: "copy", throughIndex: 1 });
});
