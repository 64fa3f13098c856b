/** Tables that other drivers left in Postgres are adopted in place: nothing is dropped, and their owners' SQL goes on working. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import {
  EVENTS,
  LAYOUT_0_2,
  LAYOUT_0_4,
  rowsOf,
  SESSIONS_0_4,
  storeEvent,
  storeSession,
  trigger,
} from "./support/postgres/layouts.mts";
import { contentsOf, makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
// As most databases in the field have it: texts are compared in a language's order, not byte by byte.
const url = await server.createDatabase("LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'");

/** Opens the schema with a driver of ours, and closes it. */
async function adopted<R>(schema: string, act: (driver: PostgresSessionPersistDriver) => Promise<R>): Promise<R> {
  await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema });
  return await act(driver);
}

const idsOf = (events: { id: string; eventIndex: number }[]) => events.map(({ id, eventIndex }) => [id, eventIndex]);

/** The columns of the two tables that hold JSON, with their types, and whether an event's place is unique. */
async function layoutOf(schema: string) {
  const columns = await query<{ name: string; type: string }>(
    url,
    `SELECT attname AS name, format_type(atttypid, NULL) AS type FROM pg_attribute
     WHERE attrelid IN ('${schema}.sessions'::regclass, '${schema}.events'::regclass)
       AND (attname LIKE '%_json' OR attname = 'event_index') AND NOT attisdropped ORDER BY attrelid, attname`,
  );
  const unique = await query(
    url,
    `SELECT 1 FROM pg_index WHERE indrelid = '${schema}.events'::regclass AND indisunique AND indisvalid
       AND pg_get_indexdef(indexrelid) LIKE '%(session_id, event_index)'`,
  );
  return { columns: columns.map(({ name, type }) => `${name} ${type}`), unique: unique.length };
}

const READY = {
  columns: [
    ...["config_options_json", "extra_json", "modes_json", "session_init_json"].map((name) => `${name} json`),
    ...["event_index bigint", "extra_json json", "payload_json json"],
  ],
  unique: 1,
};

test("tables of 0.4 are adopted: all rows are there, records whole, order kept, JSONB is JSON", async () => {
  const schema = await makeSchema(
    url,
    `${LAYOUT_0_4}
     INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, destroyed_at,
       session_init_json, sandbox_id, config_options_json, modes_json) VALUES
       ('b', 'mock', 'as', 'c', 7, 8, '{"cwd":"/"}', 'local/1', '[{"id":"x"}]', '{"currentModeId":"m"}'),
       ('a', 'mock', 'as', 'c', 7, NULL, NULL, NULL, NULL, 'null'),
       ('B', 'mock', 'as', 'c', 7, NULL, NULL, NULL, NULL, NULL),
       ('c', 'mock', 'as', 'c', 5, NULL, NULL, NULL, NULL, NULL);
     INSERT INTO events VALUES ('e2', 2, 'b', 12, 'c', 'agent', '{"b":1,"a":[1.50,"é",null,{}]}'),
       ('e1', 1, 'b', 11, 'c', 'client', '{"jsonrpc":"2.0"}'), ('e7', 7, 'b', 10, 'c', 'agent', '"text"')`,
  );
  await adopted(schema, async (driver) => {
    const record = { agent: "mock", agentSessionId: "as", lastConnectionId: "c", createdAt: 7 };
    const sessions = [];
    let cursor: string | undefined;
    do {
      const page = await driver.listSessions({ limit: 1, cursor });
      sessions.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    // By bytes, as everywhere: "B" comes before "a".
    assert.deepEqual(sessions, [
      { ...record, id: "c", createdAt: 5 },
      { ...record, id: "B" },
      { ...record, id: "a", modes: null },
      {
        ...record,
        id: "b",
        destroyedAt: 8,
        sandboxId: "local/1",
        sessionInit: { cwd: "/" },
        configOptions: [{ id: "x" }],
        modes: { currentModeId: "m" },
      },
    ]);
    const common = { sessionId: "b", connectionId: "c" };
    assert.deepEqual(await allEvents(driver, "b", 2), [
      { ...common, id: "e1", eventIndex: 1, createdAt: 11, sender: "client", payload: { jsonrpc: "2.0" } },
      {
        ...common,
        id: "e2",
        eventIndex: 2,
        createdAt: 12,
        sender: "agent",
        payload: { b: 1, a: [1.5, "é", null, {}] },
      },
      { ...common, id: "e7", eventIndex: 7, createdAt: 10, sender: "agent", payload: "text" },
    ]);
    // What JSONB refused.
    const payload = { z: "\u0000\ud800", a: 1 } as never;
    await driver.insertEvent("b", eventAt("b", 8, { payload }));
    const [last] = (await driver.listEvents({ sessionId: "b", cursor: "3" })).items;
    assert.equal(JSON.stringify(last?.payload), JSON.stringify(payload));
  });
  assert.deepEqual(await layoutOf(schema), READY);
});

test("tables of 0.2 are adopted, and take everything that a record of 0.4 holds", async () => {
  const schema = await makeSchema(
    url,
    `${LAYOUT_0_2}
     INSERT INTO sessions VALUES ('s', 'mock', 'agent-s', 'connection-1', 1700000000000, NULL, '{"cwd":"/"}');
     ${rowsOf([["e1", 1, "s", 11]])}`,
  );
  await adopted(schema, async (driver) => {
    const before = sessionOf("s", { sessionInit: { cwd: "/" } as never });
    assert.deepEqual(await driver.getSession("s"), before);
    const record = { ...before, sandboxId: "local/2", modes: null, configOptions: [], fromANewerSdk: { a: [1] } };
    await driver.updateSession(record as never);
    assert.deepEqual(await driver.getSession("s"), record);
    const event = eventAt("s", 2, { fromANewerSdk: true } as never);
    await driver.insertEvent("s", event);
    const events = await allEvents(driver, "s");
    assert.deepEqual(idsOf(events), [["e1", 1], ["s-2", 2]]); // prettier-ignore
    assert.deepEqual(events[1], event);
  });
  assert.deepEqual(await layoutOf(schema), READY);
});

for (const [what, column, index] of [
  ["without event_index", "", false],
  ["with an event_index that may be NULL", "event_index INTEGER,", true],
] as const) {
  test(`events ${what} are numbered in order of (created_at, id)`, async () => {
    const columns = EVENTS.replace("event_index BIGINT NOT NULL,", column);
    const row = (id: string, session: string, createdAt: number) =>
      `('${id}', ${index ? "NULL," : ""} '${session}', ${createdAt}, 'c', 'agent', '{"id":"${id}"}')`;
    const schema = await makeSchema(
      url,
      `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${columns});
       INSERT INTO events VALUES ${row("b", "s", 5)}, ${row("B", "s", 5)}, ${row("a", "s", 6)}, ${row("z", "s", 4)},
         ${row("other", "other", 1)}`,
    );
    await adopted(schema, async (driver) => {
      const events = await allEvents(driver, "s", 2);
      assert.deepEqual(idsOf(events), [["z", 1], ["B", 2], ["b", 3], ["a", 4]]); // prettier-ignore
      assert.deepEqual(
        events.map(({ payload }) => payload),
        events.map(({ id }) => ({ id })),
      );
      assert.deepEqual(idsOf(await allEvents(driver, "other")), [["other", 1]]);
      await driver.insertEvent("s", eventAt("s", 5));
      // The SDK's counter can be greater than any integer of four bytes.
      await driver.insertEvent("s", eventAt("s", 5_000_000_000));
      assert.equal((await allEvents(driver, "s")).at(-1)?.eventIndex, 5_000_000_000);
    });
    assert.deepEqual(await layoutOf(schema), READY);
  });
}

test("duplicate and missing indexes are renumbered, in their sessions only, and gaps stay", async () => {
  const schema = await makeSchema(
    url,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS.replace("BIGINT NOT NULL,", "BIGINT,")});
     ${rowsOf([
       ["d", 3, "twice", 9],
       ["c", 3, "twice", 8],
       ["b", 3, "twice", 9],
       ["a", 1, "twice", 50],
       ["e", 40, "twice", 1],
       ["x", 5, "gaps", 2],
       ["y", 50, "gaps", 1],
       ["z", 0, "gaps", 3],
       ["n1", null, "some", 1],
       ["n2", null, "some", 2],
       ["n3", 3, "some", 3],
     ])}
     INSERT INTO events SELECT 'm-' || n, n / 2, 'many', n, 'c', 'agent', '{}' FROM generate_series(1, 2000) AS n`,
  );
  await adopted(schema, async (driver) => {
    const events = await allEvents(driver, "twice");
    assert.deepEqual(idsOf(events), [["a", 1], ["c", 2], ["b", 3], ["d", 4], ["e", 5]]); // prettier-ignore
    assert.deepEqual(
      events.map(({ payload }) => payload),
      events.map(({ id }) => ({ id })),
    );
    assert.deepEqual(idsOf(await allEvents(driver, "gaps")), [["z", 0], ["x", 5], ["y", 50]]); // prettier-ignore
    assert.deepEqual(idsOf(await allEvents(driver, "some")), [["n1", 1], ["n2", 2], ["n3", 3]]); // prettier-ignore
    assert.deepEqual(
      idsOf(await allEvents(driver, "many")),
      Array.from({ length: 2000 }, (_, position) => [`m-${position + 1}`, position + 1]),
    );
  });
  assert.deepEqual(await layoutOf(schema), READY);
});

test("opening adopted tables again changes nothing of them", async () => {
  const schema = await makeSchema(url, LAYOUT_0_2 + rowsOf([["a", 1, "s", 1], ["b", 1, "s", 2]])); // prettier-ignore
  const first = await adopted(schema, (driver) => allEvents(driver, "s"));
  const before = await contentsOf(url, schema);
  assert.deepEqual(await adopted(schema, (driver) => allEvents(driver, "s")), first);
  assert.deepEqual(await contentsOf(url, schema), before);
});

test("a pasted driver's SQL goes on working: pg reads what we wrote, and we read what pg writes", async () => {
  const schema = await makeSchema(url, LAYOUT_0_4 + rowsOf([["old", 1, "s", 1]]));
  const record = sessionOf("s", {
    destroyedAt: 9,
    sandboxId: "local/1",
    sessionInit: { cwd: "/", mcpServers: [] } as never,
    configOptions: [{ id: "x" }] as never,
    modes: null,
  });
  const event = eventAt("s", 2);
  await adopted(schema, async (driver) => {
    await driver.insertEvent("s", event);
    await driver.updateSession(record);
  });
  const named = "id, agent, agent_session_id, last_connection_id, created_at, destroyed_at, sandbox_id";
  assert.deepEqual(
    await query(
      url,
      `SELECT ${named}, session_init_json, config_options_json, modes_json::text AS modes_text, modes_json
       FROM ${schema}.sessions`,
    ),
    [
      {
        id: "s",
        agent: "mock",
        agent_session_id: "agent-s",
        last_connection_id: "connection-1",
        created_at: "1700000000000",
        destroyed_at: "9",
        sandbox_id: "local/1",
        session_init_json: { cwd: "/", mcpServers: [] },
        config_options_json: [{ id: "x" }],
        modes_text: "null",
        modes_json: null,
      },
    ],
  );
  assert.deepEqual(
    await query(
      url,
      `SELECT id, event_index, session_id, created_at, connection_id, sender, payload_json FROM ${schema}.events
       WHERE session_id = 's' ORDER BY event_index, id LIMIT 10 OFFSET 1`,
    ),
    [
      {
        id: "s-2",
        event_index: "2",
        session_id: "s",
        created_at: String(event.createdAt),
        connection_id: "connection-1",
        sender: "agent",
        payload_json: event.payload,
      },
    ],
  );

  const payload = { method: "session/update", z: 1, a: 2 };
  await query(url, storeEvent(schema), ["pg-3", 3, "s", 3, "c", "client", JSON.stringify(payload)]);
  // It writes an event of ours again, as a retry does.
  await query(url, storeEvent(schema), ["s-2", 2, "s", 2, "c", "client", JSON.stringify(payload)]);
  const columns = [
    "s",
    "other",
    "as",
    "c",
    4,
    null,
    null,
    null,
    JSON.stringify([]),
    JSON.stringify({ currentModeId: "m" }),
  ];
  await query(url, storeSession(schema), columns);
  await adopted(schema, async (driver) => {
    const common = { sessionId: "s", connectionId: "c", sender: "client", payload };
    assert.deepEqual(await allEvents(driver, "s"), [
      { ...common, id: "old", eventIndex: 1, createdAt: 1, sender: "agent", payload: { id: "old" } },
      { ...common, id: "s-2", eventIndex: 2, createdAt: 2 },
      { ...common, id: "pg-3", eventIndex: 3, createdAt: 3 },
    ]);
    assert.deepEqual(await driver.getSession("s"), {
      ...{ id: "s", agent: "other", agentSessionId: "as", lastConnectionId: "c", createdAt: 4 },
      ...{ configOptions: [], modes: { currentModeId: "m" } },
    });
    // And a conflict with it is met as any other.
    const late = eventAt("s", 3, { id: "late" });
    await driver.insertEvent("s", late);
    assert.equal(late.eventIndex, 4);
  });
});

/** Tables of 0.4 that somebody has partitioned: a unique constraint must hold the column that decides on the partition. */
const PARTITIONED_0_4 = `
  CREATE TABLE sessions (${SESSIONS_0_4}) PARTITION BY HASH (id);
  CREATE TABLE events (${EVENTS.replace("PRIMARY KEY", "NOT NULL")}, PRIMARY KEY (session_id, id))
    PARTITION BY HASH (session_id);
  ${[0, 1, 2]
    .map(
      (part) => `
    CREATE TABLE sessions_${part} PARTITION OF sessions FOR VALUES WITH (MODULUS 3, REMAINDER ${part});
    CREATE TABLE events_${part} PARTITION OF events FOR VALUES WITH (MODULUS 3, REMAINDER ${part});`,
    )
    .join("")}`;

test("partitioned tables are adopted, in all partitions", async () => {
  const sessions = Array.from({ length: 12 }, (_, number) => `s-${number}`);
  const schema = await makeSchema(
    url,
    `${PARTITIONED_0_4}
     ${rowsOf(
       sessions.flatMap((session) => [
         [`${session}-c`, 7, session, 3],
         [`${session}-a`, 1, session, 1],
         [`${session}-b`, 1, session, 2],
       ]),
     )}
     ${trigger("append_only", "BEFORE UPDATE ON events", "RAISE EXCEPTION 'append only';")}
     ALTER TABLE events_1 DISABLE TRIGGER append_only`,
  );
  const states = `SELECT tgrelid::regclass::text AS name, tgenabled FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
    WHERE relnamespace = '${schema}'::regnamespace ORDER BY 1`;
  const before = await query(url, states);
  assert.equal(before.length, 4);
  await adopted(schema, async (driver) => {
    for (const session of sessions) {
      assert.deepEqual(idsOf(await allEvents(driver, session)), [
        [`${session}-a`, 1],
        [`${session}-b`, 2],
        [`${session}-c`, 3],
      ]);
      const late = eventAt(session, 1, { id: "late" });
      await driver.insertEvent(session, late);
      assert.equal(late.eventIndex, 4);
      await driver.updateSession(sessionOf(session, { modes: null }));
      assert.deepEqual(await driver.getSession(session), sessionOf(session, { modes: null }));
    }
  });
  assert.deepEqual(await layoutOf(schema), READY);
  assert.deepEqual(await query(url, states), before);
  const filled = await query(url, `SELECT DISTINCT tableoid FROM ${schema}.events`);
  assert.equal(filled.length, 3, "the events are in all partitions");
});
