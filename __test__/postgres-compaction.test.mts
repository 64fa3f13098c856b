/** Compacting sessions on Postgres: down to the rows, beside programs of others, lost answers, rules of the tables' owner, and rights. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, describe, test, type TestContext } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { compaction, type Place, type Row } from "./suites/compaction.mts";
import { LAYOUT_0_4, storeEvent, trigger } from "./support/postgres/layouts.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
const { url } = server;

function open(t: TestContext, schema: string, options = {}): PostgresSessionPersistDriver {
  const driver = new PostgresSessionPersistDriver({ connectionString: url, schema, ...options });
  t.after(() => driver.close());
  return driver;
}

async function makePlace(t: TestContext): Promise<Place> {
  const schema = await makeSchema(url);
  await open(t, schema).ready();
  return {
    storage: { driver: "Postgres", options: { connectionString: url, schema } },
    sql: async (text) => void (await query(url, `SET search_path = ${schema}; ${text}`)),
    store: async (session, rows) => {
      await query(
        url,
        `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json, extra_json)
         SELECT id, index, $2, "createdAt", connection, sender, payload::json, extra::json
         FROM json_to_recordset($1) AS row (index bigint, id text, "createdAt" bigint, connection text, sender text, payload text,
           extra text)`,
        [JSON.stringify(rows), session],
      );
    },
    rows: async (session) =>
      (
        await query(
          url,
          `SELECT event_index::int AS index, id, created_at AS "createdAt", connection_id AS connection, sender,
             payload_json::text AS payload, extra_json::text AS extra FROM ${schema}.events WHERE session_id = $1 ORDER BY 1`,
          [session],
        )
      ).map((row) => ({ ...row, createdAt: Number(row.createdAt) }) as Row),
  };
}

compaction("Postgres", makePlace);

const textOf = (payload: unknown): string => (payload as any).params.update.content.text;
const chunks = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => `chunk ${from + at}`).join("");

test("the end of the last turn is found behind prompts that are too large to be read together", async (t) => {
  const driver = open(t, await makeSchema(url));
  const message = (index: number, sender: "client" | "agent", payload: object) =>
    driver.insertEvent("s", eventAt("s", index, { sender, payload: { jsonrpc: "2.0", ...payload } as never }));
  const prompt = (id: number, image: string) => ({ id, method: "session/prompt", params: { prompt: [{ image }] } });
  await message(1, "client", prompt(1, ""));
  await Promise.all([2, 3, 4].map((index) => driver.insertEvent("s", eventAt("s", index))));
  await message(5, "agent", { id: 1, result: { stopReason: "end_turn" } });
  // Random, since the server compresses them.
  for (const index of [6, 7, 8]) await message(index, "client", prompt(index, randomBytes(4 << 20).toString("base64")));
  assert.equal((await driver.compactSession("s")).removed, 2);
  const events = await allEvents(driver, "s");
  assert.deepEqual(events.map(({ eventIndex }) => eventIndex), [1, 4, 5, 6, 7, 8]); // prettier-ignore
});

async function fill(driver: PostgresSessionPersistDriver, events: number): Promise<void> {
  await Promise.all([
    driver.updateSession(sessionOf("s", { destroyedAt: 1 })),
    ...Array.from({ length: events }, (_, at) => driver.insertEvent("s", eventAt("s", at + 1))),
  ]);
}

const contents = async (driver: PostgresSessionPersistDriver) =>
  (await allEvents(driver, "s")).map(({ eventIndex, payload }) => [eventIndex, textOf(payload)]);

describe("others", { concurrency: true }, () => {
  for (const [what, sql, expected] of [
    [
      "replaced",
      "UPDATE events SET payload_json = replace(payload_json::text, 'chunk 3', 'newer')::json WHERE event_index = 3",
      [[5, `${chunks(1, 2)}newer${chunks(4, 5)}`]],
    ],
    ["deleted", "DELETE FROM events WHERE event_index = 3", [[5, `${chunks(1, 2)}${chunks(4, 5)}`]]],
    [
      "made another event",
      `UPDATE events SET payload_json = '{"params":{"update":{"content":{"text":"other"}}}}' WHERE event_index = 3`,
      [
        [2, chunks(1, 2)],
        [3, "other"],
        [5, chunks(4, 5)],
      ],
    ],
  ] as const) {
    test(`an event that is ${what} by another program at that moment is not undone`, async (t) => {
      const schema = await makeSchema(url);
      const driver = open(t, schema);
      await fill(driver, 5);
      const other = await otherConnection(t, url);
      await other.run(`BEGIN; SET search_path = ${schema}; ${sql}`);
      // It has read the rows as they were before, and waits for the lock of one.
      const compacting = driver.compactSession("s");
      await other.isInTheWayOf(1);
      await other.run("COMMIT");
      const { removed } = await compacting;
      assert.deepEqual(await contents(driver), expected);
      assert.equal(removed, 5 - expected.length - (what === "deleted" ? 1 : 0));
    });
  }

  for (const [what, lose] of [
    ["the answer to its COMMIT", (proxy) => proxy.dropAnswerOnce(/^COMMIT$/, "cut")],
    ["its COMMIT", (proxy) => proxy.dropRequestOnce(/^COMMIT$/, "cut")],
  ] as [string, (proxy: Awaited<ReturnType<typeof startProxy>>) => Promise<void>][]) {
    test(`a step of which ${what} is lost is done once, and counted once`, async (t) => {
      const schema = await makeSchema(url);
      await fill(open(t, schema), 5);
      const proxy = await startProxy(server);
      const driver = open(t, schema, { connectionString: proxy.urlOf(url), queryTimeoutMs: 5_000 });
      t.after(() => proxy.close());
      await driver.ready();
      const lost = lose(proxy);
      const { sessions, events, removed } = await driver.compactSession("s");
      await lost;
      assert.deepEqual([sessions, events, removed], [1, 5, 4]);
      assert.deepEqual(await contents(driver), [[5, chunks(1, 5)]]);
    });
  }
});

describe("the owner of the tables", { concurrency: true }, () => {
  for (const [what, sql, code, message] of [
    [
      "a trigger that raises an error",
      trigger("never", "BEFORE UPDATE ON events", "RAISE EXCEPTION 'never';"),
      "ERR_PERSIST_INVALID_ARGUMENT",
      /a rule of a table's owner forbids it.*nothing was joined in this step/,
    ],
    [
      "a trigger that keeps what was to go",
      trigger("never", "BEFORE DELETE ON events", "RETURN NULL;"),
      "ERR_PERSIST_INVALID_ARGUMENT",
      /kept its rows; nothing was joined in this step/,
    ],
    [
      "a trigger that keeps what was to be replaced",
      trigger("never", "BEFORE UPDATE ON events", "RETURN NULL;"),
      "ERR_PERSIST_INVALID_ARGUMENT",
      /kept its rows; nothing was joined in this step/,
    ],
    [
      "a foreign key",
      `CREATE TABLE mine (session_id text, event_index bigint, FOREIGN KEY (session_id, event_index)
         REFERENCES events (session_id, event_index)); INSERT INTO mine VALUES ('s', 2);`,
      "ERR_PERSIST_INVALID_ARGUMENT",
      /a rule of a table's owner forbids it/,
    ],
    [
      "a full disk",
      trigger("never", "BEFORE UPDATE ON events", "RAISE EXCEPTION 'full' USING ERRCODE = '53100';"),
      "ERR_PERSIST_FULL",
      /disk is full/,
    ],
  ] as const) {
    test(`where ${what} is in the way, nothing is joined`, async (t) => {
      const schema = await makeSchema(url);
      const driver = open(t, schema);
      await fill(driver, 4);
      const before = await contents(driver);
      await query(url, `SET search_path = ${schema}; ${sql}`);
      await assert.rejects(driver.compactSession("s"), { code, message });
      assert.deepEqual(await contents(driver), before);
      await driver.insertEvent("s", eventAt("s", 5));
    });
  }

  test("who may not delete is told so, and nothing is joined", async (t) => {
    const schema = await makeSchema(url);
    const owner = open(t, schema);
    await fill(owner, 4);
    await query(
      url,
      `CREATE ROLE compactor LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA ${schema} TO compactor;
       GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ${schema} TO compactor;`,
    );
    const own = Object.assign(new URL(url), { username: "compactor", password: "p" });
    const driver = open(t, schema, { connectionString: own.href, migrate: false });
    assert.equal((await driver.compactSession("s", { dryRun: true })).removed, 3);
    await assert.rejects(driver.compactSession("s"), {
      code: "ERR_PERSIST_UNAVAILABLE",
      sqlState: "42501",
      message: /no right to do that; nothing was joined in this step, grant DELETE/,
    });
    assert.equal((await contents(driver)).length, 4);
    await query(url, `GRANT DELETE ON ${schema}.events TO compactor`);
    assert.equal((await driver.compactSession("s")).removed, 3);
  });

  test("tables of the field are compacted where they are, beside the program that made them", async (t) => {
    const schema = await makeSchema(url, `${LAYOUT_0_4} ALTER TABLE events ADD COLUMN mine text DEFAULT 'mine'`);
    for (let index = 1; index <= 4; index += 1) {
      const { id, createdAt, connectionId, sender, payload } = eventAt("s", index);
      await query(url, storeEvent(schema), [id, index, "s", createdAt, connectionId, sender, JSON.stringify(payload)]);
    }
    const driver = open(t, schema);
    await driver.updateSession(sessionOf("s", { destroyedAt: 1 }));
    assert.equal((await driver.compactSession("s")).removed, 3);
    assert.deepEqual(await contents(driver), [[4, chunks(1, 4)]]);
  });
});
