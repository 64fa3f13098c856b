/** `check` on Postgres: every finding made for real, and that it only reads. */
import assert from "node:assert/strict";
import { after, test, type TestContext } from "node:test";

import { type Finding, PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { LAYOUT_0_4 } from "./support/postgres/layouts.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { contentsOf, makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { startStandby } from "./support/postgres/standby.mts";
import { eventAt, sessionOf } from "./support/records.mts";

// Nothing but the test writes.
const server = await startServer({ fsync: true, settings: ["autovacuum = off"] });
after(server.cleanup);
const { url } = server;

function open(t: TestContext, schema: string, options: PostgresSessionPersistDriverOptions = {}) {
  const driver = new PostgresSessionPersistDriver({ connectionString: url, schema, ...options });
  t.after(() => driver.close());
  return driver;
}

const of = (findings: Finding[], code: string) => findings.filter((finding) => finding.code === code);
/** Without what is of the tests' user in every check. */
const codes = (findings: Finding[]) =>
  [...new Set(findings.map(({ code }) => code))].filter((code) => code !== "superuser").sort();

test("sound tables have no findings, and a check begins no transaction that writes", async (t) => {
  const schema = await makeSchema(url);
  const driver = open(t, schema);
  await driver.updateSession(sessionOf("s"));
  for (let index = 1; index <= 10; index += 1) await driver.insertEvent("s", eventAt("s", index));
  const next = async () =>
    (await query(url, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next"))[0].next as string;
  const before = [await contentsOf(url, schema), await next()];
  const findings = await driver.check();
  assert.deepEqual([await contentsOf(url, schema), await next()], before);
  assert.deepEqual(
    findings.map(({ code, severity }) => [code, severity]),
    [["superuser", "info"]],
  );
});

test("rows that cannot be read, sessions without events and events without sessions", async (t) => {
  const schema = await makeSchema(url, LAYOUT_0_4.replaceAll("JSONB", "TEXT"));
  const driver = open(t, schema);
  for (let number = 0; number < 25; number += 1) {
    await driver.insertEvent(`orphan-${number}`, eventAt(`orphan-${number}`, 1));
    await driver.updateSession(sessionOf(`empty-${number}`));
  }
  await query(
    url,
    `UPDATE ${schema}.events SET payload_json = '{"swordfish":' WHERE session_id IN ('orphan-3', 'orphan-4');
     UPDATE ${schema}.sessions SET modes_json = 'swordfish' WHERE id = 'empty-1'`,
  );
  const findings = await driver.check();
  assert.deepEqual(codes(findings), [
    "adopted-layout",
    "events-without-session",
    "redundant-index",
    "sessions-without-events",
    "unreadable-events",
    "unreadable-sessions",
  ]);
  const [orphans] = of(findings, "events-without-session");
  assert.deepEqual([orphans.count, orphans.sessionIds?.length, orphans.table], [25, 20, "events"]);
  const [empty] = of(findings, "sessions-without-events");
  assert.deepEqual([empty.count, empty.sessionIds?.length], [25, 20]);
  const [unreadable] = of(findings, "unreadable-events");
  assert.deepEqual([unreadable.count, unreadable.sessionIds], [2, ["orphan-3", "orphan-4"]]);
  assert.match(unreadable.message, /column payload_json holds text that is not JSON/);
  assert.deepEqual(of(findings, "unreadable-sessions")[0].sessionIds, ["empty-1"]);
  assert.equal(findings[0].severity, "error");
  assert.ok(!JSON.stringify(findings).includes("swordfish"));
});

test("indexes that are missing, of no use, not valid, or damaged", async (t) => {
  const schema = await makeSchema(url);
  const driver = open(t, schema);
  for (const index of [1, 2, 3]) await driver.insertEvent("s", eventAt("s", index));
  await query(url, `CREATE INDEX owners ON ${schema}.events (session_id)`);
  await assert.rejects(query(url, `CREATE UNIQUE INDEX CONCURRENTLY broken ON ${schema}.events (sender)`));
  // An index that was right until its order changed, as the system's may.
  await query(
    url,
    `CREATE EXTENSION amcheck SCHEMA ${schema}; SET search_path = ${schema};
     CREATE FUNCTION compared(text, text) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT bttextcmp($1, $2)';
     CREATE OPERATOR CLASS odd FOR TYPE text USING btree AS
       OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 compared(text, text);
     CREATE INDEX odd ON events (id odd);
     CREATE OR REPLACE FUNCTION compared(text, text) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT bttextcmp($2, $1)'`,
  );
  const findings = await driver.check();
  const found = (code: string) => of(findings, code).map(({ message, table }) => [/"(\w+)"/.exec(message)?.[1], table]);
  assert.deepEqual(found("redundant-index"), [["owners", "events"]]);
  assert.deepEqual(found("invalid-index"), [["broken", "events"]]);
  assert.deepEqual(found("damaged"), [["odd", "events"]]);
  await query(url, `DROP INDEX ${schema}.events_session_id_event_index_idx`);
  assert.match(of(await driver.check(), "tables-not-ready")[0].message, /unique index on the events'/);
});

test("what is of the tables and of the user", async (t) => {
  const schema = await makeSchema(url);
  const driver = open(t, schema);
  await driver.updateSession(sessionOf("s"));
  await driver.insertEvent("s", eventAt("s", 1));
  await query(
    url,
    `ALTER TABLE ${schema}.session_labels SET UNLOGGED; ALTER TABLE ${schema}.sessions ENABLE ROW LEVEL SECURITY;
     CREATE POLICY all_rows ON ${schema}.sessions USING (true);
     CREATE ROLE checked LOGIN PASSWORD 'checked'; GRANT USAGE ON SCHEMA ${schema} TO checked;
     GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ${schema} TO checked`,
  );
  const checked = new URL(url);
  Object.assign(checked, { username: "checked", password: "checked" });
  const findings = await open(t, schema, { connectionString: checked.href }).check();
  assert.deepEqual(codes(findings), ["missing-right", "row-security", "unlogged-table"]);
  assert.deepEqual(of(findings, "superuser"), []);
  assert.deepEqual(
    of(findings, "missing-right").map(({ table, message }) => [table, /right to (.*) on/.exec(message)?.[1]]),
    ["deleted_sessions", "events", "session_labels", "sessions"].map((table) => [table, "DELETE"]),
  );
  assert.deepEqual(
    [of(findings, "unlogged-table")[0].table, of(findings, "row-security")[0].table],
    ["session_labels", "sessions"],
  );
});

test("closing ends a check that waits for somebody's lock", async (t) => {
  const schema = await makeSchema(url);
  const driver = open(t, schema);
  await driver.ready();
  const other = await otherConnection(t, url);
  await other.run(`BEGIN; LOCK TABLE ${schema}.events IN ACCESS EXCLUSIVE MODE`);
  const refused = assert.rejects(driver.check(), { code: "ERR_PERSIST_CLOSED" });
  await other.isInTheWayOf(1);
  await driver.close();
  await refused;
});

test("the encoding and the collation of the database", async (t) => {
  const latin = await server.createDatabase("ENCODING 'LATIN1' LOCALE 'C'");
  assert.deepEqual(codes(await open(t, "public", { connectionString: latin }).check()), ["encoding"]);
  const sorted = await server.createDatabase("LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' ENCODING 'UTF8'");
  await query(sorted, "UPDATE pg_database SET datcollversion = '0' WHERE datname = current_database()");
  assert.deepEqual(codes(await open(t, "public", { connectionString: sorted }).check()), ["collation-changed"]);
});

test("settings that break the promise, and standbys", async (t) => {
  const primary = await startServer({ version: 15, settings: ["full_page_writes = off"] });
  t.after(primary.cleanup);
  const driver = open(t, "public", { connectionString: primary.url });
  assert.deepEqual(codes(await driver.check()), ["fsync-off", "full-page-writes-off"]);
  await driver.close();

  const set = async (sql: string) => {
    await query(primary.url, sql);
    await query(primary.url, "SELECT pg_reload_conf()");
  };
  const besides = async (connectionString: string) => {
    const beside = open(t, "public", { connectionString });
    const findings = codes(await beside.check());
    await beside.close();
    return findings.filter((code) => !["fsync-off", "full-page-writes-off"].includes(code));
  };
  await set("ALTER SYSTEM SET full_page_writes = on");
  const standby = await startStandby(primary);
  t.after(standby.cleanup);
  assert.deepEqual(await besides(primary.url), ["standby-asynchronous"]);
  const reading = new URL(standby.url);
  reading.searchParams.set("target_session_attrs", "any");
  assert.deepEqual(await besides(reading.href), ["read-only-server"]);
  await set("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  assert.deepEqual(await besides(primary.url), ["standby-missing"]);
  await set("ALTER SYSTEM SET synchronous_commit = off");
  assert.deepEqual(await besides(primary.url), ["synchronous-commit-off"]);
});

test("a pooler", { skip: skipWithoutPgBouncer() }, async (t) => {
  const pgbouncer = await startPgBouncer(server);
  t.after(pgbouncer.cleanup);
  const schema = await makeSchema(url);
  assert.deepEqual(codes(await open(t, schema).check()), []);
  for (const maxConnections of [2, 10]) {
    const driver = open(t, schema, { connectionString: pgbouncer.urlOf(url), maxConnections });
    assert.deepEqual(codes(await driver.check()), ["pooler"]);
  }
});
