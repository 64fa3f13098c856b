/** What the owner of the tables has put on them: it stays, and what it refuses or swallows fails alone and is never called stored. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { EVENTS, LAYOUT_0_4, ORDER_INDEX, rowsOf, SESSIONS_0_4, trigger } from "./support/postgres/layouts.mts";
import { contentsOf, makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;

async function adopted<R>(schema: string, act: (driver: PostgresSessionPersistDriver) => Promise<R>): Promise<R> {
  await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema });
  return await act(driver);
}

const idsOf = (events: { id: string; eventIndex: number }[]) => events.map(({ id, eventIndex }) => [id, eventIndex]);

test("the owner's columns, indexes, keys, views and triggers stay, and work", async () => {
  const schema = await makeSchema(
    url,
    `CREATE TABLE sessions (${SESSIONS_0_4}, tenant TEXT NOT NULL DEFAULT 'me',
       number BIGINT GENERATED ALWAYS AS IDENTITY, shout TEXT GENERATED ALWAYS AS (upper(agent)) STORED);
     CREATE TABLE events (${EVENTS}, note TEXT, serial BIGSERIAL); ${ORDER_INDEX};
     ALTER TABLE events ALTER COLUMN payload_json SET DEFAULT '{}';
     CREATE TABLE orders (session_id TEXT NOT NULL REFERENCES sessions (id));
     CREATE TABLE log (id TEXT);
     CREATE INDEX events_by_time ON events (created_at, id);
     CREATE VIEW from_agents AS SELECT id, session_id FROM events WHERE sender = 'agent';
     CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
       $$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NULL; END $$;
     CREATE TRIGGER logged AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION logged();
     INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, tenant)
       VALUES ('s', 'mock', 'as', 'c', 1, 'you');
     INSERT INTO orders VALUES ('s');
     ${rowsOf([["a", 1, "s", 1]])}
     UPDATE events SET note = 'first'`,
  );
  await adopted(schema, async (driver) => {
    await driver.updateSession(sessionOf("s", { agent: "other" }));
    await driver.insertEvent("s", eventAt("s", 2, { id: "b" }));
    assert.deepEqual(idsOf(await allEvents(driver, "s")), [["a", 1], ["b", 2]]); // prettier-ignore
  });
  assert.deepEqual(await query(url, `SELECT tenant, number, shout FROM ${schema}.sessions`), [
    { tenant: "you", number: "1", shout: "OTHER" },
  ]);
  assert.deepEqual(await query(url, `SELECT id, note, serial FROM ${schema}.events ORDER BY event_index`), [
    { id: "a", note: "first", serial: "1" },
    { id: "b", note: null, serial: "2" },
  ]);
  const ids = async (relation: string) =>
    (await query(url, `SELECT id FROM ${schema}.${relation} ORDER BY id`)).map(({ id }) => id);
  assert.deepEqual(await ids("from_agents"), ["a", "b"]);
  assert.deepEqual(await ids("log"), ["a", "b"]);
  assert.deepEqual(
    (
      await query(url, `SELECT indexname FROM pg_indexes WHERE schemaname = $1 AND indexname LIKE '%events_%'`, [
        schema,
      ])
    )
      .map(({ indexname }) => indexname)
      .filter((name) => ["events_by_time", "idx_events_session_order", "events_pkey"].includes(name))
      .sort(),
    ["events_by_time", "events_pkey", "idx_events_session_order"],
  );
  await assert.rejects(query(url, `DELETE FROM ${schema}.sessions`), { code: "23503" });
});

test("a foreign key of the owner's on the events is an error that says so", async () => {
  const events = EVENTS.replace("session_id TEXT NOT NULL", "session_id TEXT NOT NULL REFERENCES sessions (id)");
  const schema = await makeSchema(url, `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${events})`);
  await adopted(schema, async (driver) => {
    // The SDK stores a session's first events before its record.
    await assert.rejects(driver.insertEvent("s", eventAt("s", 1)), (error: any) => {
      assert.equal(error.code, "ERR_PERSIST_INVALID_ARGUMENT");
      assert.equal(error.sqlState, "23503");
      assert.match(error.cause.message, /foreign key/);
      return true;
    });
  });
});

for (const [what, inTheWay, remove, named] of [
  ["a GIN index", "CREATE INDEX by_payload ON events USING gin (payload_json)", "DROP INDEX by_payload", /gin/],
  ["a view", "CREATE VIEW payloads AS SELECT payload_json FROM events", "DROP VIEW payloads", /view/],
  [
    "a CHECK",
    "ALTER TABLE events ADD CONSTRAINT whole CHECK (payload_json ? 'id')",
    "ALTER TABLE events DROP CONSTRAINT whole",
    /operator|function/,
  ],
  [
    "a generated column",
    "ALTER TABLE events ADD method TEXT GENERATED ALWAYS AS (payload_json ->> 'method') STORED",
    "ALTER TABLE events DROP COLUMN method",
    /generated column/,
  ],
  [
    "a trigger's condition",
    `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
     CREATE TRIGGER sometimes BEFORE INSERT ON events FOR EACH ROW WHEN (NEW.payload_json ? 'id')
       EXECUTE FUNCTION nothing()`,
    "DROP TRIGGER sometimes ON events",
    /trigger/,
  ],
] as const) {
  test(`${what} that needs JSONB stands in the way: the error names the column and the reason, nothing is changed`, async () => {
    const schema = await makeSchema(url, `${LAYOUT_0_4} ${rowsOf([["a", 1, "s", 1]])} ${inTheWay}`);
    const before = await contentsOf(url, schema);
    await adopted(schema, async (driver) => {
      await assert.rejects(driver.ready(), (error: any) => {
        assert.equal(error.code, "ERR_PERSIST_SCHEMA");
        assert.match(error.message, /payload_json of events from jsonb to json/);
        assert.match(error.cause.message, named);
        return true;
      });
      assert.deepEqual(await contentsOf(url, schema), before);
      await query(url, `SET search_path = ${schema}; ${remove}`);
      await driver.insertEvent("s", eventAt("s", 2, { id: "b" }));
      assert.deepEqual(idsOf(await allEvents(driver, "s")), [["a", 1], ["b", 2]]); // prettier-ignore
    });
  });
}

test("a trigger of the owner's neither fires for the repair nor forbids it, and is there afterwards", async () => {
  const schema = await makeSchema(
    url,
    `${LAYOUT_0_4} ${trigger("append_only", "BEFORE UPDATE ON events", "RAISE EXCEPTION 'append only';")}
     ${trigger("never", "BEFORE UPDATE ON events", "RAISE EXCEPTION 'it is disabled';")}
     ${trigger("on_replicas", "BEFORE UPDATE ON events", "RAISE EXCEPTION 'this is no replica';")}
     ${trigger("always", "BEFORE UPDATE ON events", "RAISE EXCEPTION 'not even here';")}
     ALTER TABLE events DISABLE TRIGGER never, ENABLE REPLICA TRIGGER on_replicas, ENABLE ALWAYS TRIGGER always;
     ${rowsOf([["a", 1, "s", 1], ["b", 1, "s", 2]])}`, // prettier-ignore
  );
  const states = `SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = '${schema}.events'::regclass ORDER BY 1`;
  const before = await query(url, states);
  assert.deepEqual(
    before.map(({ tgenabled }) => tgenabled),
    ["A", "O", "D", "R"],
  );
  const events = await adopted(schema, (driver) => allEvents(driver, "s"));
  assert.deepEqual(idsOf(events), [["a", 1], ["b", 2]]); // prettier-ignore
  assert.deepEqual(await query(url, states), before);
  await query(url, `ALTER TABLE ${schema}.events DISABLE TRIGGER always`);
  await assert.rejects(query(url, `UPDATE ${schema}.events SET sender = 'client'`), { message: "append only" });
});

/** Stores five events in one batch: those that are called odd are up to the owner's rules. */
async function storeSome(driver: PostgresSessionPersistDriver, session: string) {
  const texts = ["kept", "odd", "kept too", "odd", "kept as well"];
  const events = texts.map((text, at) => eventAt(session, at + 1, { payload: { text } as never }));
  await driver.ready();
  const results = await Promise.allSettled(events.map((event) => driver.insertEvent(session, event)));
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"],
  );
  return results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
}

const NEITHER = "IF NEW.payload_json::text LIKE '%odd%' THEN";
for (const [what, rule, state, cause, code = "ERR_PERSIST_INVALID_ARGUMENT"] of [
  [
    "a trigger that raises an exception",
    trigger("refuses", "BEFORE INSERT ON events", `${NEITHER} RAISE EXCEPTION 'not this one'; END IF; RETURN NEW;`),
    "P0001",
    /not this one/,
  ],
  ["a CHECK", "ALTER TABLE events ADD CONSTRAINT even CHECK (payload_json ->> 'text' <> 'odd')", "23514", /even/],
  [
    "a trigger that raises what row level security does",
    trigger(
      "forbids",
      "BEFORE INSERT ON events",
      `${NEITHER} RAISE insufficient_privilege USING MESSAGE = 'not yours'; END IF; RETURN NEW;`,
    ),
    "42501",
    /not yours/,
    "ERR_PERSIST_UNAVAILABLE",
  ],
  [
    "a trigger that raises a code of its own",
    trigger(
      "quota",
      "BEFORE INSERT ON events",
      `${NEITHER} RAISE EXCEPTION 'too many' USING ERRCODE = 'QUOTA'; END IF; RETURN NEW;`,
    ),
    "QUOTA",
    /too many/,
    "ERR_PERSIST_INTERNAL",
  ],
  [
    "a trigger that swallows rows",
    trigger("swallows", "BEFORE INSERT ON events", `${NEITHER} RETURN NULL; END IF; RETURN NEW;`),
    undefined,
    undefined,
  ],
  [
    "a rule that swallows rows",
    "CREATE RULE swallows AS ON INSERT TO events WHERE NEW.payload_json ->> 'text' = 'odd' DO INSTEAD NOTHING",
    undefined,
    undefined,
  ],
] as [string, string, string?, RegExp?, string?][]) {
  test(`${what}: such events are refused, the rest of the batch is stored`, async () => {
    const schema = await makeSchema(url, "");
    await adopted(schema, (driver) => driver.ready());
    await query(url, `SET search_path = ${schema}; ${rule}`);
    await adopted(schema, async (driver) => {
      for (const error of await storeSome(driver, "s")) {
        assert.equal(error.code, code);
        assert.equal(error.sqlState, state);
        if (cause) assert.match(error.cause.message, cause);
      }
      const stored = async () => (await allEvents(driver, "s")).map(({ eventIndex }) => eventIndex);
      assert.deepEqual(await stored(), [1, 3, 5]);
      // Alone, and in the place of another.
      const odd = { payload: { text: "odd" } as never };
      await assert.rejects(driver.insertEvent("s", eventAt("s", 6, odd)), { code });
      await assert.rejects(driver.insertEvent("s", eventAt("s", 5, { ...odd, id: "late" })), { code });
      assert.deepEqual(await stored(), [1, 3, 5]);
      await driver.insertEvent("s", eventAt("s", 6));
      assert.deepEqual(await stored(), [1, 3, 5, 6]);
    });
  });
}

test("a session's record that a trigger swallows is refused, the writes beside it are stored", async () => {
  const schema = await makeSchema(url, "");
  await adopted(schema, (driver) => driver.ready());
  const body = "IF NEW.agent = 'odd' THEN RETURN NULL; END IF; RETURN NEW;";
  await query(url, `SET search_path = ${schema}; ${trigger("swallows", "BEFORE INSERT OR UPDATE ON sessions", body)}`);
  await adopted(schema, async (driver) => {
    await driver.ready();
    const results = await Promise.allSettled([
      driver.updateSession(sessionOf("a")),
      driver.updateSession(sessionOf("b", { agent: "odd" })),
      driver.insertEvent("b", eventAt("b", 1)),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.equal((results[1] as PromiseRejectedResult).reason.code, "ERR_PERSIST_INVALID_ARGUMENT");
    // A record of before stays as it was.
    await assert.rejects(driver.updateSession(sessionOf("a", { agent: "odd" })), {
      code: "ERR_PERSIST_INVALID_ARGUMENT",
    });
    assert.deepEqual((await driver.listSessions()).items, [sessionOf("a")]);
    assert.deepEqual(await allEvents(driver, "b"), [eventAt("b", 1)]);
  });
});

test("where ids are unique, an event whose id is stored at another place is refused alone", async () => {
  const schema = await makeSchema(url, LAYOUT_0_4 + rowsOf([["a", 1, "s", 1]]));
  await adopted(schema, async (driver) => {
    await driver.ready();
    const results = await Promise.allSettled([
      driver.insertEvent("s", eventAt("s", 2)),
      driver.insertEvent("s", eventAt("s", 3, { id: "a" })),
      driver.insertEvent("other", eventAt("other", 1, { id: "a" })),
      driver.insertEvent("s", eventAt("s", 4)),
      driver.insertEvent("other", eventAt("other", 2)),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ["fulfilled", "rejected", "rejected", "fulfilled", "fulfilled"],
    );
    for (const result of results) {
      if (result.status === "fulfilled") continue;
      assert.equal(result.reason.code, "ERR_PERSIST_INVALID_ARGUMENT");
      assert.equal(result.reason.sqlState, "23505");
      assert.match(result.reason.message, /id only once/);
      // The SDK would try such an event again, at another place, in vain.
      assert.doesNotMatch(result.reason.message, /UNIQUE constraint failed/);
    }
    assert.deepEqual(idsOf(await allEvents(driver, "s")), [["a", 1], ["s-2", 2], ["s-4", 4]]); // prettier-ignore
    assert.deepEqual(idsOf(await allEvents(driver, "other")), [["other-2", 2]]);
    // The same event at its own place is a retry.
    await driver.insertEvent("s", eventAt("s", 1, { id: "a" }));
    // And another event at a place that is taken gets the next one.
    const late = eventAt("s", 1, { id: "late" });
    await driver.insertEvent("s", late);
    assert.equal(late.eventIndex, 5);
  });
});

for (const [what, body] of [
  ["refuses", "RAISE EXCEPTION 'append only';"],
  ["swallows", "RETURN NULL;"],
] as const) {
  test(`a retry of an event that is stored is no failure where a trigger ${what} changes of events`, async () => {
    const schema = await makeSchema(url);
    await adopted(schema, (driver) => driver.ready());
    await query(url, `SET search_path = ${schema}; ${trigger("append_only", "BEFORE UPDATE ON events", body)}`);
    await using driver = new PostgresSessionPersistDriver({ connectionString: url, schema, queryTimeoutMs: 2_000 });
    await driver.insertEvent("s", eventAt("s", 1));
    // As after a connection that broke before the answer came.
    await driver.insertEvent("s", eventAt("s", 1));
    await driver.insertEvent("s", eventAt("s", 2));
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), eventAt("s", 2)]);
    // Another content is a change, which the owner does not want.
    const changed = eventAt("s", 1, { payload: { changed: true } as never });
    await assert.rejects(driver.insertEvent("s", changed), { code: "ERR_PERSIST_INVALID_ARGUMENT" });
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1), eventAt("s", 2)]);
  });
}
