/** What `stats` and the channels tell of a Postgres store: networks that fail, locks, others' tables, and what needs eyes. */
import assert from "node:assert/strict";
import { after, describe, test, type TestContext } from "node:test";

import { type PostgresSessionPersistDriverOptions, PostgresSessionPersistDriver } from "../index.js";
import { listen } from "./support/notices.mts";
import { LAYOUT_0_4 } from "./support/postgres/layouts.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { PARTITIONED } from "./support/postgres/partitioned.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { eventAt } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

const PATIENCE = { timeout: 120_000 };

function open(t: TestContext, options: PostgresSessionPersistDriverOptions) {
  const driver = new PostgresSessionPersistDriver({ connectionString: server.url, ...options });
  t.after(() => driver.close());
  return driver;
}

async function throughProxy(t: TestContext) {
  const [proxy, schema] = [await startProxy(server), await makeSchema(server.url)];
  const driver = open(t, { connectionString: proxy.urlOf(server.url), schema });
  t.after(() => proxy.close());
  return { proxy, driver, schema };
}

describe("a network that fails", () => {
  test(
    "a connection that breaks in mid-write counts a retry and a reconnect, and both are told",
    PATIENCE,
    async (t) => {
      const { proxy, driver, schema } = await throughProxy(t);
      await driver.insertEvent("s", eventAt("s", 1));
      const { of, until } = listen(t, "retry", "reconnected");
      const lost = proxy.dropAnswerOnce(/INSERT/);
      await driver.insertEvent("s", eventAt("s", 2));
      await lost;
      await Promise.all([until("retry"), until("reconnected")]);
      const { retries, reconnects, failed, writeDurationMs } = await driver.stats();
      assert.deepEqual([retries, reconnects, failed, writeDurationMs.count], [1, 1, 0, 2]);
      const [{ code, reason, namespace }] = of("retry") as [ReturnType<typeof of<"retry">>[0]];
      assert.equal(code, "ERR_PERSIST_UNAVAILABLE");
      assert.match(reason, /^the connection broke/);
      assert.equal(namespace, `postgres|${schema}`);
      assert.ok(of("reconnected")[0]!.durationMs >= 0);
    },
  );

  test(
    "while it is away, tries are told before the write is settled, and stats has all but the database",
    PATIENCE,
    async (t) => {
      const { proxy, driver } = await throughProxy(t);
      await driver.insertEvent("s", eventAt("s", 1));
      const { until } = listen(t, "retry", "commit");
      proxy.refuse();
      proxy.cut("reset");
      const write = driver.insertEvent("s", eventAt("s", 2));
      await until("retry", 2);
      const away = await driver.stats();
      assert.equal(away.database, undefined);
      assert.deepEqual([away.queue.calls, away.writeDurationMs.count, away.reconnects], [1, 1, 0]);
      assert.ok(away.retries >= 2);
      await proxy.accept();
      await write;
      const back = await driver.stats();
      assert.deepEqual([back.queue.calls, back.writeDurationMs.count, back.reconnects], [0, 2, 1]);
      assert.equal(back.database?.events, 2);
      await until("commit");
    },
  );
});

test("while others hold a lock, writes wait in the queue and readers for a connection", PATIENCE, async (t) => {
  const schema = await makeSchema(server.url);
  const driver = open(t, { schema, maxConnections: 2 });
  await driver.insertEvent("s", eventAt("s", 1));
  const other = await otherConnection(t, server.url);
  await other.run(`BEGIN; LOCK TABLE ${schema}.events IN SHARE MODE`);
  const writes = [2, 3, 4].map((index) => driver.insertEvent("s", eventAt("s", index)));
  await other.isInTheWayOf(1);
  let stats = await driver.stats();
  assert.deepEqual([stats.queue.calls, stats.connections.busy, stats.database?.events], [3, 1, 1]);
  await other.run("COMMIT");
  await Promise.all(writes);

  await other.run(`BEGIN; LOCK TABLE ${schema}.events IN ACCESS EXCLUSIVE MODE`);
  const reads = ["a", "b", "c"].map((sessionId) => driver.listEvents({ sessionId }));
  await other.isInTheWayOf(1);
  stats = await driver.stats();
  assert.equal(stats.database, undefined);
  assert.deepEqual([stats.queue.calls, stats.connections.busy], [3, 1]);
  // One more may wait to look for late writes.
  assert.ok(stats.connections.waiting >= 2);
  await other.run("COMMIT");
  await Promise.all(reads);
  do stats = await driver.stats();
  while (stats.connections.busy + stats.connections.waiting > 0);
  assert.equal(stats.queue.calls, 0);
  assert.equal(stats.database?.events, 4);
});

test("a table that somebody keeps for long costs no connection", PATIENCE, async (t) => {
  const schema = await makeSchema(server.url);
  const driver = open(t, { schema });
  await driver.insertEvent("s", eventAt("s", 1));
  const other = await otherConnection(t, server.url);
  await other.run(`BEGIN; LOCK TABLE ${schema}.session_labels IN ACCESS EXCLUSIVE MODE`);
  const { database, retries, reconnects } = await driver.stats();
  assert.deepEqual({ database, retries, reconnects }, { database: undefined, retries: 0, reconnects: 0 });
  await other.run("COMMIT");
  const after = await driver.stats();
  assert.deepEqual([after.database?.events, after.retries, after.reconnects], [1, 0, 0]);
});

test("tables of ours have the layout own, and those that have more, or are kept in another way, adopted", async (t) => {
  const layout = async (schema: string) => (await open(t, { schema }).stats()).database?.layout;
  assert.equal(await layout(await makeSchema(server.url, LAYOUT_0_4)), "adopted");
  const ours = await makeSchema(server.url);
  assert.equal(await layout(ours), "own");
  await query(server.url, `CREATE INDEX ON ${ours}.events (created_at) WHERE created_at > 5`);
  assert.equal(await layout(ours), "adopted");
  const partitioned = await makeSchema(server.url);
  await query(server.url, PARTITIONED(partitioned));
  assert.equal(await layout(partitioned), "adopted");
});

test("large tables are estimated, with all of their partitions", PATIENCE, async (t) => {
  const schema = await makeSchema(server.url);
  await query(server.url, PARTITIONED(schema));
  const driver = open(t, { schema });
  await driver.ready();
  await query(
    server.url,
    `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     SELECT 'e', n, 's-' || (n % 100), 1, 'c', 'agent', '{}' FROM generate_series(1, 25000) AS n`,
  );
  await query(server.url, `ANALYZE ${schema}.events`);
  for (;;) {
    const { database } = await driver.stats();
    assert.ok(database && database.counts === "estimate" && database.dataBytes > 25_000 * 50);
    assert.ok(database.events > 10_000 && database.sessions === 0);
    // The server tells of what it has counted a moment later.
    if (database.events === 25_000) break;
  }
});

describe("warnings", () => {
  test("what was stored late and removed again is told, with the session and what to do", PATIENCE, async (t) => {
    const schema = await makeSchema(server.url);
    const [driver, writer] = [open(t, { schema }), open(t, { schema })];
    await driver.deleteSession("s");
    await driver.close();
    await query(
      server.url,
      `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
       VALUES ('late', 1, 's', 1, 'c', 'agent', '{}')`,
    );
    const { of, until } = listen(t, "warning");
    await writer.insertEvent("other", eventAt("other", 1));
    await until("warning");
    const [{ code, message }] = of("warning") as [ReturnType<typeof of<"warning">>[0]];
    assert.equal(code, "late-writes-removed");
    assert.match(
      message,
      /what was written to session "s" of .* after it was deleted was removed again: end the agents/,
    );
    assert.equal((await writer.stats()).warnings, 1);
  });

  test("a user who cannot see what others deleted is told what to grant", PATIENCE, async (t) => {
    const schema = await makeSchema(server.url);
    await open(t, { schema }).ready();
    await query(
      server.url,
      `CREATE ROLE blind LOGIN PASSWORD 'hidden-word'; GRANT USAGE ON SCHEMA ${schema} TO blind;
       GRANT SELECT, INSERT, UPDATE, DELETE ON ${schema}.sessions, ${schema}.events TO blind;
       GRANT SELECT ON ${schema}.persist_version TO blind`,
    );
    const url = new URL(server.url);
    [url.username, url.password] = ["blind", "hidden-word"];
    const { of, until } = listen(t, "warning");
    const driver = open(t, { connectionString: url.href, schema });
    await driver.insertEvent("s", eventAt("s", 1));
    await until("warning");
    const [{ code, message }] = of("warning") as [ReturnType<typeof of<"warning">>[0]];
    assert.equal(code, "deletions-unseen");
    assert.match(
      message,
      /it cannot be seen which sessions of .* others have deleted, .* stays: .*; grant SELECT, INSERT/,
    );
    assert.doesNotMatch(message, /hidden-word/);
  });

  test("what nobody listens to is counted all the same", PATIENCE, async (t) => {
    const schema = await makeSchema(server.url);
    const driver = open(t, { schema });
    await driver.ready();
    await query(server.url, `ALTER TABLE ${schema}.deleted_sessions RENAME TO gone`);
    await driver.insertEvent("s", eventAt("s", 1));
    while ((await driver.stats()).warnings < 1);
  });
});
