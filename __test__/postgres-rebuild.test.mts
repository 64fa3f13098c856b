/** `rebuild` on Postgres: every layout of the field becomes ours while others write, and a killed one leaves the old table. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import pg from "pg";

import type { SessionEvent } from "sandbox-agent";
import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { EVENTS, ORDER_INDEX, SESSIONS_0_2, SESSIONS_0_4 } from "./support/postgres/layouts.mts";
import { PARTITIONED } from "./support/postgres/partitioned.mts";
import { contentsOf, makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { unprivileged } from "./support/home.mts";
import { start } from "./support/process.mts";
import type { Told } from "./support/programs/rebuild.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { onSmallDisk } from "./support/small-disk.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;
const SESSION_COUNT = 20;

function open(t: TestContext, schema: string, options: PostgresSessionPersistDriverOptions = {}) {
  const driver = new PostgresSessionPersistDriver({ connectionString: url, schema, ...options });
  t.after(() => driver.close());
  return driver;
}

/** Events of sessions `old-0` and so on. */
const fill = (count: number) => `
  INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
  SELECT 'e-' || n, n / 20 + 1, 'old-' || (n % ${SESSION_COUNT}), n / 3, 'c', 'agent',
    ('{"n":' || n || ',"text":"' || repeat('x', 200) || '"}')::KIND FROM generate_series(0, ${count - 1}) AS n;`;

const LAYOUTS: Record<string, (count: number) => string> = {
  "0.4": (count) =>
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS}); ${ORDER_INDEX}; ${fill(count).replace("KIND", "jsonb")}`,
  "0.2, with JSON as text": (count) =>
    `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS.replaceAll("JSONB", "TEXT")});
     ${fill(count).replace("KIND", "text")}`,
  "other types, and keys of its own": (count) =>
    `CREATE TABLE sessions (${SESSIONS_0_2});
     CREATE TABLE events (id varchar(80) NOT NULL, event_index integer, session_id varchar(80), created_at bigint, connection_id text,
       sender varchar, payload_json json, PRIMARY KEY (session_id, event_index)) WITH (fillfactor = 90);
     CREATE UNIQUE INDEX owners ON events (id) WHERE sender = 'agent'; ${fill(count).replace("KIND", "json")}`,
};

async function oldEvents(driver: PostgresSessionPersistDriver): Promise<SessionEvent[][]> {
  const sessions = Array.from({ length: SESSION_COUNT }, (_, number) => allEvents(driver, `old-${number}`, 10_000));
  return Promise.all(sessions);
}

/** What there is of a rebuild. */
const leftovers = async (schema: string) =>
  (
    await query(
      url,
      `SELECT relname AS name FROM pg_class WHERE relnamespace = $1::regnamespace AND relname LIKE '%rebuild%'
       UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = $1::regnamespace
       UNION ALL SELECT tgname FROM pg_trigger WHERE tgrelid = ($1 || '.events')::regclass`,
      [schema],
    )
  ).map(({ name }) => name);

for (const [layout, sql] of Object.entries(LAYOUTS)) {
  test(`the layout ${layout} becomes ours while all write, and nobody's writes are lost`, async (t) => {
    const schema = await makeSchema(url, sql(10_000));
    const driver = open(t, schema);
    const before = await oldEvents(driver);
    await driver.updateSession(sessionOf("old-1"));
    await query(
      url,
      `CREATE TABLE ${schema}.mirror AS SELECT * FROM ${schema}.events LIMIT 0;
       CREATE UNIQUE INDEX ON ${schema}.mirror (session_id, event_index)`,
    );
    const owner = start(t, "postgres-rewrite-events.mts", [url, schema]);
    await owner.next();
    const replica = open(t, schema);
    let rebuilt = false;
    const writing = async (of: PostgresSessionPersistDriver, session: string) => {
      const written: SessionEvent[] = [];
      for (let index = 1; !rebuilt; index += 1) {
        const event = eventAt(session, index);
        await of.insertEvent(session, event);
        written.push(event);
        if (index % 7 === 0) {
          written[index - 3] = { ...written[index - 3], payload: { again: index } as never };
          await of.insertEvent(session, written[index - 3]);
        }
        if (session === "own-0" && index % 10 === 0)
          await of.forkSession("old-1", { id: `fork-${index}`, throughIndex: 3 });
        if (session === "own-0" && index % 20 === 0) await of.deleteSession(`fork-${index}`);
      }
      await of.insertEvent(session, eventAt(session, written.length + 1));
      return written;
    };
    const follower = replica.tailEvents({ sessionId: "own-0" });
    const followed = (async () => {
      const indexes: number[] = [];
      for await (const { eventIndex } of follower) if (indexes.push(eventIndex) && rebuilt) return indexes;
      return indexes;
    })();
    const writers = [0, 1, 2, 3].map((number) => writing(number % 2 ? replica : driver, `own-${number}`));
    const copied = await driver.rebuild();
    rebuilt = true;
    assert.ok(copied.events >= 10_000 && copied.bytes > 10_000 * 200, JSON.stringify(copied));
    for (const [number, written] of (await Promise.all(writers)).entries()) {
      assert.ok(written.length > 1);
      assert.deepEqual((await allEvents(driver, `own-${number}`)).slice(0, written.length), written);
    }
    const indexes = await followed;
    assert.deepEqual(
      indexes,
      indexes.map((_, position) => position + 1),
    );
    owner.send("stop");
    assert.ok((await owner.next<number>()) > 0);
    assert.deepEqual(await oldEvents(driver), before);
    assert.deepEqual(await driver.rebuild(), { events: 0, bytes: 0 });
    const findings = (await driver.check()).map(({ code }) => code);
    assert.deepEqual(
      findings.filter((code) => /layout|index|unreadable|interrupted/.test(code)),
      [],
    );
    assert.deepEqual(await leftovers(schema), []);
    const names = "id, event_index, session_id, created_at, connection_id, sender, payload_json::text::jsonb";
    const [events, mirror] = [`${schema}.events`, `${schema}.mirror`];
    const differences = await query(
      url,
      `(SELECT ${names} FROM ${events} WHERE session_id LIKE 'owner-%' EXCEPT SELECT ${names} FROM ${mirror})
       UNION ALL (SELECT ${names} FROM ${mirror} EXCEPT SELECT ${names} FROM ${events})`,
    );
    assert.deepEqual(differences, []);
  });
}

/** The columns, indexes, rights and settings of the table, as far as a rebuild changes them. */
async function structure(schema: string) {
  const [found] = await query(
    url,
    `SELECT ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 ORDER BY attnum) AS columns,
       ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = c.oid) AS indexes, relacl::text AS acl,
       relowner::regrole::text AS owner, reloptions, obj_description(c.oid) AS comment
     FROM pg_class c WHERE c.oid = $1::regclass`,
    [`${schema}.events`],
  );
  return found;
}

const place = (schema: string) =>
  `CREATE UNIQUE INDEX events_session_id_event_index_idx ON ${schema}.events USING btree (session_id, event_index)`;

test("a rebuild that is killed leaves the table as it was, or as it is to be, and the next one does the rest", async (t) => {
  /** Rebuilds a schema of its own, and kills after a part of the time that it takes; gives that time when it is not killed. */
  const rebuild = async (killAfter?: number) => {
    const schema = await makeSchema(url, LAYOUTS["0.4"](3_000));
    const child = start(t, "rebuild.mts", [JSON.stringify({ connectionString: url, schema })]);
    await child.next();
    const began = performance.now();
    child.send("go");
    if (killAfter !== undefined) await delay(killAfter);
    else while (typeof (await child.next<Told>()) === "number");
    child.kill("SIGKILL");
    await child.ended;
    const stored = child.rest<Told>().filter((told) => typeof told === "number");
    return { schema, time: performance.now() - began, last: Math.max(0, ...stored) };
  };
  const { schema, time } = await rebuild();
  const driver = open(t, schema);
  const before = await oldEvents(driver);
  await driver.close();
  /** Checks what was killed when so many events were told to be stored, and does the rest. */
  const finish = async (schema: string, last: number) => {
    const next = open(t, schema);
    assert.deepEqual(await oldEvents(next), before);
    const own = async () => (await allEvents(next, "own", 10_000)).map(({ eventIndex }) => eventIndex);
    const stored = await own();
    assert.ok(stored.length >= last, `${stored.length} of ${last} events are there`);
    await next.insertEvent("own", eventAt("own", stored.length + 1));
    await next.rebuild();
    assert.deepEqual(await oldEvents(next), before);
    assert.deepEqual(await own(), [...stored, stored.length + 1]);
    await next.close();
    assert.deepEqual(await leftovers(schema), []);
    assert.deepEqual((await structure(schema)).indexes, [place(schema)]);
  };
  const round = async (number: number) => {
    const { schema, last } = await rebuild((time * (number + Math.random())) / 20);
    await finish(schema, last);
  };
  for (let number = 0; number < 20; number += 4) await Promise.all([0, 1, 2, 3].map((more) => round(number + more)));
  // Where none of these was in the middle, this one was.
  const middle = await makeSchema(url, LAYOUTS["0.4"](3_000));
  await interrupt(t, middle);
  await finish(middle, 0);
});

/** Begins a rebuild, and kills it when it has done all but the last step, which waits for somebody who reads the table. */
async function interrupt(t: TestContext, schema: string): Promise<void> {
  const child = start(t, "rebuild.mts", [JSON.stringify({ connectionString: url, schema })]);
  await child.next();
  const reader = await otherConnection(t, url);
  await reader.run(`BEGIN; SELECT FROM ${schema}.events LIMIT 1`);
  child.send("go");
  await reader.isInTheWayOf(1);
  child.kill("SIGKILL");
  await child.ended;
  await reader.endThoseWhoWait();
  await reader.run("ROLLBACK");
}

test("what a dead rebuild has left a driver removes that opens it, and not what one has that lives", async (t) => {
  const schema = await makeSchema(url, LAYOUTS["0.4"](2_000));
  await open(t, schema).ready();
  await interrupt(t, schema);
  const left = await leftovers(schema);
  assert.ok(left.length > 5, left.join());
  const second = open(t, schema);
  assert.ok(!(await second.check()).some(({ code }) => code === "interrupted-rebuild"));
  assert.deepEqual(await leftovers(schema), left);
  await query(url, `UPDATE ${schema}.persist_rebuild SET beat_at = beat_at - interval '61 seconds'`);
  const third = open(t, schema, { migrate: false });
  assert.ok((await third.check()).some(({ code }) => code === "interrupted-rebuild"));
  await open(t, schema).ready();
  assert.deepEqual(await leftovers(schema), []);
});

test("rights, owner, comment and settings stay; who is not the owner is refused", async (t) => {
  await query(url, "CREATE ROLE rebuilder LOGIN PASSWORD 'rebuilder'; CREATE ROLE writer; CREATE ROLE reader");
  const schema = await makeSchema(url, LAYOUTS["0.4"](2_000));
  await open(t, schema).ready();
  await query(
    url,
    `GRANT USAGE ON SCHEMA ${schema} TO rebuilder, writer; GRANT ALL ON ALL TABLES IN SCHEMA ${schema} TO rebuilder;
     GRANT SELECT, INSERT, UPDATE ON ${schema}.events TO writer; GRANT SELECT ON ${schema}.events TO PUBLIC;
     GRANT SELECT ON ${schema}.events TO reader WITH GRANT OPTION;
     COMMENT ON TABLE ${schema}.events IS 'ours'; ALTER TABLE ${schema}.events SET (fillfactor = 80);
     ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT TRUNCATE ON TABLES TO reader`,
  );
  const rebuilder = new URL(url);
  Object.assign(rebuilder, { username: "rebuilder", password: "rebuilder" });
  const driver = open(t, schema, { connectionString: rebuilder.href });
  await assert.rejects(driver.rebuild(), {
    code: "ERR_PERSIST_UNAVAILABLE",
    message: /only the owner of the table may rebuild it, with the right to create tables in its schema/,
  });
  await query(url, `GRANT CREATE ON SCHEMA ${schema} TO rebuilder; ALTER TABLE ${schema}.events OWNER TO rebuilder`);
  const sorted = ({ acl, ...rest }: any): Record<string, any> => ({ ...rest, acl: acl.slice(1, -1).split(",").sort() });
  const { indexes: _, ...before } = sorted(await structure(schema));
  assert.deepEqual((await driver.rebuild()).events, 2_000);
  const { indexes, ...after } = sorted(await structure(schema));
  assert.deepEqual(after, before);
  assert.deepEqual(indexes, [place(schema)]);
  // A superuser leaves it to its owner.
  const other = await makeSchema(url, LAYOUTS["0.4"](10));
  await open(t, other).ready();
  await query(url, `ALTER TABLE ${other}.events OWNER TO rebuilder`);
  await open(t, other).rebuild();
  assert.equal((await structure(other)).owner, "rebuilder");
});

test("what of the owner's hangs on the table is named, and nothing is changed", async (t) => {
  const obstacles: [sql: string, name: RegExp][] = [
    ["CREATE VIEW recent AS SELECT * FROM events", /view .*recent/],
    [
      "CREATE TRIGGER audit BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
      /trigger audit/,
    ],
    ["CREATE TABLE notes (event TEXT REFERENCES events (id))", /constraint notes_event_fkey/],
    [
      "ALTER TABLE events ADD FOREIGN KEY (session_id) REFERENCES sessions NOT VALID",
      /constraint events_session_id_fkey/,
    ],
    ["ALTER TABLE events ADD COLUMN note TEXT", /the column note/],
    ["ALTER TABLE events ADD CHECK (sender <> '')", /constraint events_sender_check/],
    ["ALTER TABLE events ALTER COLUMN sender SET DEFAULT 'agent'", /default value for column sender/],
    ["CREATE RULE quiet AS ON DELETE TO events DO ALSO NOTHING", /rule quiet/],
    ["CREATE POLICY mine ON events USING (true)", /policy mine/],
    ["ALTER TABLE events ENABLE ROW LEVEL SECURITY", /row level security/],
    ["CREATE PUBLICATION changes FOR TABLE events", /the publication changes/],
    ["ALTER TABLE events REPLICA IDENTITY FULL", /the replica identity/],
    ["CREATE STATISTICS more ON sender, connection_id FROM events", /statistics object .*more/],
    ["GRANT SELECT (id) ON events TO reader", /rights to the column id/],
    ["CREATE TABLE part () INHERITS (events)", /table .*part/],
    ["CREATE FUNCTION all_events() RETURNS SETOF events LANGUAGE sql AS 'TABLE events'", /function .*all_events\(\)/],
    ["CREATE TABLE archive (event events)", /column event of table .*archive/],
    ["CREATE TABLE archives (events events[])", /column events of table .*archives/],
  ];
  const schema = await makeSchema(url, LAYOUTS["0.4"](10));
  const driver = open(t, schema);
  await driver.ready();
  for (const [sql, name] of obstacles) {
    await query(url, `SET search_path = ${schema}; ${sql}`);
    const changed = await contentsOf(url, schema);
    await assert.rejects(driver.rebuild(), (error: Error & { code: string }) => {
      assert.equal(error.code, "ERR_PERSIST_SCHEMA");
      assert.match(error.message, name);
      return true;
    });
    assert.deepEqual(await contentsOf(url, schema), changed);
    if (sql.includes("CREATE PUBLICATION")) await query(url, "DROP PUBLICATION changes");
  }
  const partitioned = await makeSchema(url);
  await query(url, PARTITIONED(partitioned));
  await assert.rejects(open(t, partitioned).rebuild(), { code: "ERR_PERSIST_SCHEMA", message: /the partitions/ });
});

test("a signal ends it, a table that is held is waited for, and one that is emptied is left alone", async (t) => {
  const schema = await makeSchema(url, LAYOUTS["0.4"](20_000));
  const driver = open(t, schema);
  const before = await oldEvents(driver);
  const controller = new AbortController();
  const stopped = driver.rebuild({ signal: controller.signal, onProgress: () => controller.abort() });
  await assert.rejects(stopped, { name: "AbortError" });
  assert.deepEqual(await leftovers(schema), []);

  const emptied = await makeSchema(url, LAYOUTS["0.4"](20_000));
  let emptying: Promise<unknown> | undefined;
  const rebuilt = open(t, emptied).rebuild({
    onProgress: () => (emptying ??= query(url, `TRUNCATE ${emptied}.events`)),
  });
  await assert.rejects(rebuilt, { code: "ERR_PERSIST_BUSY", message: /TRUNCATE/ });
  await emptying;
  assert.deepEqual(await leftovers(emptied), []);

  // A transaction that reads the table, and stays open.
  const reader = new pg.Client({ connectionString: url });
  await reader.connect();
  let rebuilding: Promise<unknown> | undefined;
  const copied = driver.rebuild({
    onProgress: () => (rebuilding ??= reader.query(`BEGIN; SELECT count(*) FROM ${schema}.events`)),
  });
  for (let index = 1; !rebuilding || index < 100; index += 1) await driver.insertEvent("own", eventAt("own", index));
  await reader.query("COMMIT");
  await reader.end();
  assert.equal((await copied).events >= 20_000, true);
  assert.deepEqual(await oldEvents(driver), before);
  assert.deepEqual(await leftovers(schema), []);
});

for (const [limit, setting] of [
  ["no limit of its own", "statement_timeout = 0"],
  ["less time for a statement than it waits for a lock", "statement_timeout = 140"],
]) {
  test(`where the server has ${limit}, a table that is held when it begins is waited for, and a signal ends that`, async (t) => {
    const schema = await makeSchema(url, LAYOUTS["0.4"](10));
    const role = `of_${schema}`;
    await query(url, `CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'x'; ALTER ROLE ${role} SET ${setting}`);
    await open(t, schema).ready();
    const own = Object.assign(new URL(url), { username: role, password: "x" });
    const driver = open(t, schema, { connectionString: own.href });
    const other = await otherConnection(t, url);
    await other.run(`BEGIN; UPDATE ${schema}.events SET sender = 'client'`);
    const stop = new AbortController();
    const stopped = assert.rejects(driver.rebuild({ signal: stop.signal }), { name: "AbortError" });
    await other.isInTheWayOf(1);
    stop.abort();
    await stopped;
    assert.deepEqual(await leftovers(schema), []);
    const rebuilding = driver.rebuild();
    await other.isInTheWayOf(1);
    await other.run("COMMIT");
    assert.equal((await rebuilding).events, 10);
  });
}

test("what else has a name that it needs is left alone, and named", async (t) => {
  for (const [what, sql] of Object.entries({
    persist_rebuild: "CREATE TABLE persist_rebuild AS SELECT 1 AS mine",
    persist_rebuild_copy: "CREATE TABLE persist_rebuild_copy AS SELECT 1 AS mine",
    persist_rebuild_note: "CREATE FUNCTION persist_rebuild_note() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
  })) {
    const schema = await makeSchema(url, LAYOUTS["0.4"](10));
    const driver = open(t, schema);
    await driver.ready();
    await query(url, `SET search_path = ${schema}; ${sql}`);
    const before = await contentsOf(url, schema);
    await assert.rejects(driver.rebuild(), (error: Error & { code: string }) => {
      assert.equal(error.code, "ERR_PERSIST_SCHEMA");
      assert.match(error.message, /something else in the schema has a name that it needs \(see `cause`\)/);
      assert.ok((error.cause as Error).message.includes(what));
      return true;
    });
    assert.deepEqual(await contentsOf(url, schema), before);
    assert.ok(!(await driver.check()).some(({ code }) => code === "interrupted-rebuild"));
    await driver.close();
  }
});

test("a disk that is full in the middle leaves the table as it was", async (t) => {
  const body = async (folder: string) => {
    await query(url, `CREATE TABLESPACE small LOCATION '${folder}'`);
    const schema = await makeSchema(url, LAYOUTS["0.4"](10_000));
    const driver = open(t, schema);
    await driver.ready();
    await query(url, `ALTER TABLE ${schema}.events SET TABLESPACE small`);
    const before = await oldEvents(driver);
    await assert.rejects(driver.rebuild(), { code: "ERR_PERSIST_FULL", message: /rebuilding the table of events of/ });
    assert.deepEqual(await oldEvents(driver), before);
    assert.deepEqual(await leftovers(schema), []);
    await query(url, `DROP SCHEMA ${schema} CASCADE`);
    await query(url, "DROP TABLESPACE small");
  };
  await onSmallDisk(t, "5m", body, unprivileged().uid);
});
