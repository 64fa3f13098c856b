/** Deleting sessions that other processes write to, beside locks, lost answers and rules of the tables' owner, on Postgres. */
import assert from "node:assert/strict";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver } from "../index.js";
import { countOf, DAY, DELETED, fill, NOTHING } from "./support/deletion.mts";
import { LAYOUT_0_4, trigger } from "./support/postgres/layouts.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { PARTITIONED } from "./support/postgres/partitioned.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { start } from "./support/process.mts";
import { eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;

function open(t: TestContext, schema: string, options = {}): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString: url, schema, ...options });
  t.after(() => driver.close());
  return driver;
}

const PATIENCE = { timeout: 120_000 };

/** Puts events into the table, as a process would that has not heard of the deletion; `before` is SQL in the same statement. */
const store = (schema: string, session: string, events: number, before = "") =>
  query(
    url,
    `${before} INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     SELECT 'late-' || n, n, $1, 1, 'c', 'agent', '{}' FROM generate_series(1, $2::int) AS n`,
    [session, events],
  );

/** Waits until nothing is stored of the session. */
async function untilNothing(driver: PostgresSessionPersistDriver, session: string): Promise<void> {
  for (;;) {
    const { records, events, labels } = await countOf(driver, session);
    if (records + events + labels === 0) return;
    await delay(20);
  }
}

describe("others who write to it", { concurrency: true }, () => {
  test("a process that writes to the session is refused soon, and nothing of it is left", async (t) => {
    const schema = await makeSchema(url);
    const driver = open(t, schema);
    const writers = [1, 2].map(() => start(t, "write-until-refused.mts"));
    for (const writer of writers) {
      await writer.next();
      writer.send({ options: { connectionString: url, schema }, session: "s" });
      await writer.next();
    }
    await driver.insertEvent("other", eventAt("other", 1));
    assert.equal(await driver.deleteSession("s"), true);
    for (const writer of writers) {
      let refused: unknown;
      do refused = await writer.next();
      while (refused === "writing");
      const code = DELETED.code;
      assert.deepEqual(refused, { insertEvent: code, updateSession: code, setLabels: code });
    }
    await untilNothing(driver, "s");
    assert.deepEqual(await countOf(driver, "other"), { ...NOTHING, events: 1 });
    await assert.rejects(driver.insertEvent("s", eventAt("s", 1)), DELETED);
  });

  test("what was stored late is removed within a second, though nobody writes any more", async (t) => {
    const schema = await makeSchema(url);
    const [driver, writer] = [open(t, schema), open(t, schema)];
    await fill(writer, "s");
    assert.equal(await driver.deleteSession("s"), true);
    await driver.close();
    // It may have heard of it by now.
    await fill(writer, "s").catch((error) => assert.equal(error.code, DELETED.code));
    await untilNothing(writer, "s");
    await assert.rejects(fill(writer, "s"), DELETED);
  });

  test("followers in another driver end", async (t) => {
    const schema = await makeSchema(url);
    const [driver, other] = [open(t, schema), open(t, schema)];
    await fill(driver, "s", 1);
    const tail = other.tailEvents({ sessionId: "s" });
    await tail.next();
    const end = tail.next();
    await driver.deleteSession("s");
    assert.deepEqual(await end, { done: true, value: undefined });
  });

  test("a driver that is closed has removed what it stored late", async (t) => {
    const schema = await makeSchema(url);
    const [driver, writer] = [open(t, schema), open(t, schema)];
    for (let round = 0; round < 5; round += 1) await writer.insertEvent(`s-${round}`, eventAt(`s-${round}`, 1));
    for (let round = 0; round < 5; round += 1) await driver.deleteSession(`s-${round}`);
    // Else it would remove them.
    await driver.close();
    const late = Array.from({ length: 5 }, (_, round) => writer.insertEvent(`s-${round}`, eventAt(`s-${round}`, 2)));
    await Promise.allSettled(late);
    await writer.close();
    const reader = open(t, schema);
    for (let round = 0; round < 5; round += 1) assert.deepEqual(await countOf(reader, `s-${round}`), NOTHING);
  });

  test("what a process stored late that was killed then is removed at the next driver's first write", async (t) => {
    const schema = await makeSchema(url);
    const driver = open(t, schema);
    for (const session of ["s", "long ago"]) await driver.deleteSession(session);
    await driver.close();
    await query(url, `UPDATE ${schema}.deleted_sessions SET deleted_at = $1 WHERE id = 'long ago'`, [
      Date.now() - 2 * DAY,
    ]);
    for (const session of ["s", "long ago"]) await store(schema, session, 3);
    const next = open(t, schema);
    await next.insertEvent("other", eventAt("other", 1));
    await untilNothing(next, "s");
    await next.close();
    const reader = open(t, schema);
    assert.deepEqual(await countOf(reader, "long ago"), { ...NOTHING, events: 3 }, "it looks at the last day alone");
    assert.deepEqual(await countOf(reader, "other"), { ...NOTHING, events: 1 });
  });

  test("a session whose late rows cannot be removed does not delay what is learnt of others", PATIENCE, async (t) => {
    const schema = await makeSchema(url);
    const [driver, writer] = [open(t, schema), open(t, schema)];
    await driver.deleteSession("kept");
    await driver.close();
    await query(
      url,
      `SET search_path = ${schema}; CREATE TABLE bills (session_id text REFERENCES sessions (id));
       INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at) VALUES ('kept', 'a', 'a', 'c', 1);
       INSERT INTO bills VALUES ('kept')`,
    );
    const untilRefused = async (session: string) => {
      for (let index = 1; ; index += 1) {
        const error = await writer.insertEvent(session, eventAt(session, index)).catch((thrown) => thrown);
        if (error) return assert.equal(error.code, DELETED.code);
        await delay(20);
      }
    };
    await writer.insertEvent("s", eventAt("s", 1));
    await untilRefused("kept");
    await open(t, schema).deleteSession("s");
    await untilRefused("s");
  });

  test("an event that is not committed when the session is deleted is removed when it is", async (t) => {
    const schema = await makeSchema(url);
    const driver = open(t, schema);
    await fill(driver, "s");
    const other = await otherConnection(t, url);
    // A table's lock lets the inserts wait when they have begun, as a slow disk would.
    await other.run(`BEGIN; LOCK ${schema}.events IN SHARE MODE`);
    const writer = open(t, schema);
    const late = writer.insertEvent("s", eventAt("s", 9));
    await other.isInTheWayOf(1);
    const deleted = driver.deleteSession("s");
    await other.isInTheWayOf(2);
    await other.run("COMMIT");
    assert.equal(await deleted, true);
    await late;
    await untilNothing(driver, "s");
  });

  test("drivers that write to sessions and delete them never wait for each other in a circle", async (t) => {
    const schema = await makeSchema(url);
    const drivers = [1, 2, 3].map(() => open(t, schema));
    const deadlocks = async () =>
      (await query(url, "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()"))[0].deadlocks;
    await drivers[0].ready();
    const before = await deadlocks();
    const sessions = Array.from({ length: 30 }, (_, number) => `s-${number}`);
    const [deleter, ...writers] = drivers;
    const writing = writers.flatMap((writer) =>
      sessions.flatMap((session) =>
        Array.from({ length: 10 }, async (_, number) => {
          await writer.insertEvent(session, eventAt(session, number + 1));
          await writer.updateSession(sessionOf(session));
        }),
      ),
    );
    const deleting = sessions.map((session) => deleter.deleteSession(session));
    const failed = (await Promise.allSettled([...writing, ...deleting])).filter(({ status }) => status === "rejected");
    assert.deepEqual(
      failed.map((one) => (one as PromiseRejectedResult).reason.code).filter((code) => code !== DELETED.code),
      [],
    );
    // A server process has told of its deadlocks when it has ended.
    await Promise.all(drivers.map((driver) => driver.close()));
    const reader = open(t, schema);
    for (const session of sessions) assert.deepEqual(await countOf(reader, session), NOTHING);
    assert.equal(await deadlocks(), before);
  });
});

test("a process that is killed while it deletes has deleted each session as a whole, or nothing of it", async (t) => {
  const schema = await makeSchema(url);
  const sessions = Array.from({ length: 60 }, (_, number) => `s-${number}`);
  const driver = open(t, schema);
  await Promise.all(sessions.map((session) => fill(driver, session, 50)));
  const deleter = start(t, "delete-sessions.mts");
  await deleter.next();
  deleter.send({ options: { connectionString: url, schema }, sessions });
  for (let reports = 0; reports < 10; reports += 1) await deleter.next();
  deleter.kill("SIGKILL");
  await deleter.ended;
  const told = new Set([...sessions.slice(0, 10), ...deleter.rest<string>()]);
  const found = await query(
    url,
    `SELECT id, (SELECT count(*)::int FROM ${schema}.sessions AS stored WHERE stored.id = given.id) AS records,
       (SELECT count(*)::int FROM ${schema}.events WHERE session_id = given.id) AS events,
       (SELECT count(*)::int FROM ${schema}.session_labels WHERE session_id = given.id) AS labels,
       (SELECT count(*)::int FROM ${schema}.deleted_sessions AS deleted WHERE deleted.id = given.id) AS tombstones
     FROM unnest($1::text[]) AS given (id)`,
    [sessions],
  );
  for (const { id, ...counts } of found) {
    const whole = { records: 1, events: 50, labels: 1, tombstones: 0 };
    assert.deepEqual(counts, counts.tombstones || told.has(id) ? { ...NOTHING, tombstones: 1 } : whole, id);
  }
});

test("a deleted session is kept out for thirty days, then a deletion removes what is kept of it", async (t) => {
  const schema = await makeSchema(url);
  const driver = open(t, schema);
  for (const session of ["old", "young"]) {
    await fill(driver, session);
    await driver.deleteSession(session);
  }
  const age = (session: string, days: number) =>
    query(url, `UPDATE ${schema}.deleted_sessions SET deleted_at = $2 WHERE id = $1`, [
      session,
      Date.now() - days * DAY,
    ]);
  await age("old", 30.1);
  await age("young", 29.9);
  assert.equal(await driver.deleteSession("another"), false);
  const kept = await query(url, `SELECT id FROM ${schema}.deleted_sessions ORDER BY id`);
  assert.deepEqual(kept, [{ id: "another" }, { id: "young" }]);
  await using other = new PostgresSessionPersistDriver({ connectionString: url, schema });
  for (const session of ["old", "young"])
    await fill(other, session).catch((error) => assert.equal(error.code, DELETED.code));
  await other.close();
  assert.deepEqual(await countOf(driver, "old"), { records: 1, events: 3, labels: 1 });
  assert.deepEqual(await countOf(driver, "young"), NOTHING);
});

describe("answers that are lost", { concurrency: true }, () => {
  for (const how of ["cut", "silence"] as const) {
    for (const [what, lose] of [
      ["answer", "dropAnswerOnce"],
      ["request", "dropRequestOnce"],
    ] as const) {
      test(`when the ${what} to COMMIT is lost (${how}), the session is deleted, and was there`, async (t) => {
        const schema = await makeSchema(url);
        const proxy = await startProxy(server);
        t.after(() => proxy.close());
        const driver = open(t, schema, { connectionString: proxy.urlOf(url), queryTimeoutMs: 2_000 });
        await fill(driver, "s");
        const lost = proxy[lose](/^COMMIT/, how);
        const deleted = driver.deleteSession("s");
        const late = driver.insertEvent("s", eventAt("s", 4));
        await lost;
        await assert.rejects(late, DELETED);
        assert.equal(await deleted, true);
        assert.equal(await driver.deleteSession("s"), false);
        assert.deepEqual(await countOf(driver, "s"), NOTHING);
      });
    }
  }
});

// One after the other, they would need 72 s.
test("deletions that wait for a server that is away fail together", { timeout: 50_000 }, async (t) => {
  const schema = await makeSchema(url);
  const proxy = await startProxy(server);
  t.after(() => proxy.close());
  const driver = open(t, schema, { connectionString: proxy.urlOf(url), maxConnections: 2, queryTimeoutMs: 3_000 });
  await fill(driver, "s");
  proxy.pause();
  const deletions = Array.from({ length: 24 }, (_, number) => driver.deleteSession(`s-${number}`));
  for (const deletion of deletions) await assert.rejects(deletion, { code: "ERR_PERSIST_TIMEOUT" });
  proxy.resume();
  assert.equal(await driver.deleteSession("s"), true);
});

describe("large sessions and slow servers", { concurrency: true }, () => {
  // For each statement that deletes events.
  const SLOW = `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END $$;
    CREATE TRIGGER slow BEFORE DELETE ON events FOR EACH STATEMENT EXECUTE FUNCTION slow();`;

  test("a deletion takes longer than `queryTimeoutMs`, as long as the server works on it", async (t) => {
    const schema = await makeSchema(url);
    const driver = open(t, schema, { queryTimeoutMs: 1_000 });
    await fill(driver, "s");
    await driver.insertEvent("other", eventAt("other", 1));
    await query(url, `SET search_path = ${schema}; ${SLOW}`);
    await query(url, `UPDATE ${schema}.events SET event_index = event_index + 100000`);
    await store(schema, "s", 20_000);
    const deleted = driver.deleteSession("s");
    // Others need not wait for that.
    await driver.insertEvent("other", eventAt("other", 2));
    assert.equal(await deleted, true);
    assert.deepEqual(await countOf(driver, "s"), NOTHING);
  });

  test("the server's `statement_timeout` is named, and nothing is deleted", async (t) => {
    const schema = await makeSchema(url);
    const connectionString = `${url}?options=-c%20statement_timeout%3D200`;
    const driver = open(t, schema, { connectionString, queryTimeoutMs: 1_000 });
    await fill(driver, "s");
    await query(url, `SET search_path = ${schema}; ${SLOW}`);
    await assert.rejects(driver.deleteSession("s"), { code: "ERR_PERSIST_TIMEOUT", message: /statement_timeout/ });
    assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 3, labels: 1 });
    await driver.insertEvent("s", eventAt("s", 4));
  });

  test("a row that others have locked is waited for, and holds up no other session", async (t) => {
    const schema = await makeSchema(url);
    const driver = open(t, schema, { maxConnections: 2 });
    await fill(driver, "s");
    const other = await otherConnection(t, url);
    await other.run(`BEGIN; SELECT 1 FROM ${schema}.events WHERE session_id = 's' AND event_index = 2 FOR UPDATE`);
    const deleted = driver.deleteSession("s");
    await other.isInTheWayOf(1);
    for (let index = 1; index <= 20; index += 1) await driver.insertEvent("other", eventAt("other", index));
    await other.run("COMMIT");
    assert.equal(await deleted, true);
    assert.deepEqual(await countOf(driver, "s"), NOTHING);
  });
});

describe("tables of others", () => {
  for (const [what, tables] of [
    ["of a driver of the field", () => LAYOUT_0_4],
    ["partitioned by hash", PARTITIONED],
    [
      "with a foreign key from events to sessions",
      () => `${LAYOUT_0_4} ALTER TABLE events ADD FOREIGN KEY (session_id) REFERENCES sessions (id);`,
    ],
  ] as const) {
    test(`a session is deleted from tables ${what}, and late writes to it`, async (t) => {
      const schema = await makeSchema(url);
      await query(url, `SET search_path = ${schema}; ${tables(schema)}`);
      const driver = open(t, schema);
      for (const session of ["s", "other"]) {
        await driver.updateSession(sessionOf(session));
        await fill(driver, session);
      }
      assert.equal(await driver.deleteSession("s"), true);
      const record = `INSERT INTO ${schema}.sessions (id, agent, agent_session_id, last_connection_id, created_at)
        VALUES ('s', 'a', 'a', 'c', 1)`;
      // The driver that deleted may look at any moment, and must find both.
      await store(schema, "s", 2, `WITH record AS (${record})`);
      const next = open(t, schema);
      await next.insertEvent("other", eventAt("other", 4));
      await next.close();
      assert.deepEqual(await countOf(driver, "s"), NOTHING);
      assert.deepEqual(await countOf(driver, "other"), { records: 1, events: 4, labels: 1 });
    });
  }

  for (const [what, sql, message] of [
    [
      "a foreign key on the session",
      "CREATE TABLE bills (session_id text REFERENCES sessions (id)); INSERT INTO bills VALUES ('s');",
      /a rule of a table's owner forbids it, such as a foreign key/,
    ],
    [
      "a trigger that raises",
      trigger("never", "BEFORE DELETE ON sessions", "RAISE EXCEPTION 'never';"),
      /a rule of a table's owner forbids it, such as a foreign key on the session or a trigger/,
    ],
    [
      "a trigger that keeps a record",
      trigger("never", "BEFORE DELETE ON sessions", "RETURN NULL;"),
      /a trigger or rule of the owner of sessions kept its rows; nothing was deleted/,
    ],
    [
      "a trigger that keeps an event",
      trigger("never", "BEFORE DELETE ON events", "IF old.event_index = 2 THEN RETURN NULL; END IF; RETURN old;"),
      /a trigger or rule of the owner of events kept its rows; nothing was deleted/,
    ],
    [
      "a rule that keeps events",
      "CREATE RULE never AS ON DELETE TO events DO INSTEAD NOTHING;",
      /a rule of a table's owner forbids it/,
    ],
  ] as const) {
    test(`where ${what} of the owner forbids it, nothing is deleted`, async (t) => {
      const schema = await makeSchema(url);
      const driver = open(t, schema);
      await fill(driver, "s");
      await query(url, `SET search_path = ${schema}; ${sql}`);
      await assert.rejects(driver.deleteSession("s"), { code: "ERR_PERSIST_INVALID_ARGUMENT", message });
      assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 3, labels: 1 });
      await driver.insertEvent("s", eventAt("s", 4));
    });
  }
});

describe("rights", () => {
  let roles = 0;

  /** A user with these rights, and tables that have a session. */
  async function userWith(t: TestContext, rights: (schema: string) => string) {
    const schema = await makeSchema(url);
    const owner = open(t, schema);
    await fill(owner, "s");
    const role = `deleter_${(roles += 1)}`;
    await query(url, `CREATE ROLE ${role} LOGIN PASSWORD 'p'; ${rights(schema).replaceAll("ROLE", role)}`);
    const own = new URL(url);
    own.username = role;
    own.password = "p";
    const options = { connectionString: own.href, migrate: false };
    return { schema, owner, options, driver: open(t, schema, options) };
  }

  const OLD = (schema: string) => `GRANT USAGE ON SCHEMA ${schema} TO ROLE;
    GRANT SELECT, INSERT, UPDATE ON ${schema}.sessions, ${schema}.events TO ROLE;
    GRANT SELECT ON ${schema}.persist_version TO ROLE;`;
  const MORE = (schema: string) =>
    `${OLD(schema)} GRANT SELECT, INSERT, UPDATE ON ${schema}.session_labels, ${schema}.deleted_sessions TO ROLE;`;

  test("SELECT, INSERT, UPDATE and DELETE on the tables are enough", async (t) => {
    const { schema, driver, owner, options } = await userWith(
      t,
      (schema) => `GRANT USAGE ON SCHEMA ${schema} TO ROLE;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ROLE;`,
    );
    assert.equal(await driver.deleteSession("s"), true);
    await store(schema, "s", 3);
    const next = open(t, schema, options);
    await next.insertEvent("other", eventAt("other", 1));
    await next.close();
    assert.deepEqual(await countOf(owner, "s"), NOTHING);
  });

  test("who may not delete is told so, and writes on", async (t) => {
    for (const rights of [OLD, MORE]) {
      const { driver } = await userWith(t, rights);
      await assert.rejects(driver.deleteSession("s"), {
        code: "ERR_PERSIST_UNAVAILABLE",
        sqlState: "42501",
        message: /no right to do that; nothing was deleted, grant DELETE/,
      });
      await driver.insertEvent("s", eventAt("s", 4));
      await driver.close();
    }
  });

  test("who may not read tombstones, or remove anything, writes as ever", async (t) => {
    for (const [rights, refused] of [
      [OLD, false],
      [MORE, true],
    ] as const) {
      const { driver, owner } = await userWith(t, rights);
      await driver.insertEvent("other", eventAt("other", 1));
      assert.equal(await owner.deleteSession("s"), true);
      const stats = async () =>
        (
          await query(
            url,
            "SELECT xact_rollback::int AS failed FROM pg_stat_database WHERE datname = current_database()",
          )
        )[0].failed;
      const before = await stats();
      // Longer than it takes who may read tombstones to hear of one.
      const until = Date.now() + 1_500;
      let error: { code?: string } = {};
      for (let index = 1; !error.code && (refused || Date.now() < until); index += 1) {
        await driver.updateSession(sessionOf("other"));
        await driver.insertEvent("s", eventAt("s", index)).catch((thrown) => (error = thrown));
      }
      assert.equal(error.code, refused ? DELETED.code : undefined);
      await driver.insertEvent("other", eventAt("other", 2));
      await driver.close();
      assert.ok((await stats()) - before < 10, "it does not ask again and again");
    }
  });
});
