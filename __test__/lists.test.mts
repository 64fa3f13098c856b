/**
 * Lists with filters on what others have written: tables of other drivers, payloads that are written in odd ways, drivers
 * that may only read; and what a list by label costs. What lists hold is in suites/contract/lists.mts.
 */
import assert from "node:assert/strict";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { LAYOUT_0_4 as POSTGRES_LAYOUT } from "./support/postgres/layouts.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { asOwner, EVENTS_TEXT, made, ORDER_INDEX, SESSIONS_0_4 } from "./support/sqlite/layouts.mts";
import { sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);
// As most databases in the field have it: texts are compared in a language's order, not byte by byte.
const url = await server.createDatabase("LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'");

const SQLITE_LAYOUT = `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${ORDER_INDEX};`;

interface Store {
  /** Opens a driver on it. */
  open(options?: object): SQLiteSessionPersistDriver | PostgresSessionPersistDriver;
  /** Options with which a driver changes nothing. */
  reading: object;
  /** Runs SQL as the tables' owner, while no driver is open. */
  run(sql: string): Promise<unknown>;
}

/** Stores with the tables of a copied driver. */
const stores: Record<string, (t: TestContext) => Promise<Store>> = {
  SQLite: async (t) => {
    const filename = made(t, SQLITE_LAYOUT);
    return {
      open: (options) => new SQLiteSessionPersistDriver({ filename, ...options }),
      reading: { readonly: true },
      run: async (sql) => asOwner(filename, (database) => database.exec(sql)),
    };
  },
  Postgres: makePostgres,
};

async function makePostgres(): Promise<Store & { schema: string }> {
  const schema = await makeSchema(url, POSTGRES_LAYOUT);
  return {
    schema,
    open: (options) => new PostgresSessionPersistDriver({ connectionString: url, schema, ...options }),
    reading: { migrate: false },
    run: (sql) => query(url, `SET search_path = ${schema}; ${sql}`),
  };
}

for (const [name, make] of Object.entries(stores)) {
  describe(name, () => {
    test("a method is found however its payload is written", async (t) => {
      const store = await make(t);
      await (async () => {
        await using driver = store.open();
        await driver.ready();
      })();
      const payloads: [json: string, found: boolean][] = [
        [String.raw`{"method":"a/b"}`, true],
        [String.raw` { "id" : 1 , "method" : "a/b" } `, true],
        [String.raw`{"method":"a\/b"}`, true],
        [String.raw`{"m\u0065thod":"\u0061/b"}`, true],
        [String.raw`{"method":"x","method":"a/b"}`, true],
        [String.raw`{"method":"a/b","method":"x"}`, false],
        [String.raw`{"method":"a/b","method":null}`, false],
        [String.raw`{"method":"a/b","text":"\u0000\ud800"}`, true],
        [String.raw`{"method":"a/b","\ud800":1}`, true],
        [String.raw`{"method":"a/b\u0000"}`, false],
        [String.raw`{"params":{"method":"a/b"}}`, false],
        [String.raw`["method","a/b"]`, false],
        [String.raw`"a/b"`, false],
        ["null", false],
      ];
      const rows = payloads.map(([json], n) => `('e${n}', ${n}, 's', 1, 'c', 'agent', '${json}')`);
      await store.run(
        `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
         VALUES ${rows.join(", ")}`,
      );
      await using driver = store.open();
      const expected = [...payloads.keys()].filter((n) => payloads[n]![1]);
      const page = await driver.listEvents({ sessionId: "s", method: "a/b" });
      assert.deepEqual(
        page.items.map(({ eventIndex }) => eventIndex),
        expected,
      );
    });

    test("tables of other drivers, and drivers that only read, have lists with filters too", async (t) => {
      const store = await make(t);
      const sessions = ["b", "B", "a", "é"].map((id, n) => sessionOf(id, { createdAt: n < 3 ? 1 : 2, agent: id }));
      const values = sessions.map(
        ({ id, agent, createdAt }) => `('${id}', '${agent}', 'agent-${id}', 'connection-1', ${createdAt}, NULL)`,
      );
      await store.run(
        `INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at, sandbox_id)
         VALUES ${values.join(", ")}`,
      );
      await (async () => {
        await using driver = store.open();
        for (const id of ["a", "b", "B"]) await driver.setLabels(id, { tenant: "acme", [id]: "only" });
      })();
      await using driver = store.open(store.reading);
      const ids = async (request: Parameters<typeof driver.listSessions>[0]) =>
        (await driver.listSessions(request)).items.map(({ id }) => id);
      assert.deepEqual(await ids({ order: "desc" }), ["é", "b", "a", "B"]);
      assert.deepEqual(await ids({ agent: "b" }), ["b"]);
      assert.deepEqual(await ids({ labels: { tenant: "acme" } }), ["B", "a", "b"]);
      assert.deepEqual(await ids({ labels: { tenant: "acme" }, order: "desc", limit: 2 }), ["b", "a"]);
      assert.deepEqual(await ids({ labels: { tenant: "acme", b: "only" } }), ["b"]);
      assert.deepEqual(await ids({ labels: { tenant: "acme" }, destroyed: true }), []);
    });

    test("labels that few, half or nearly all sessions have find the same as a filter over all", async (t) => {
      const store = await make(t);
      await fill(store);
      await using driver = store.open();
      const all = Array.from({ length: SESSIONS }, (_, n) => n);
      for (const [labels, has] of [
        [{ few: "yes" }, (n: number) => n % 600 === 0],
        [{ half: "yes" }, (n: number) => n % 2 === 0],
        [{ half: "yes", most: "yes" }, (n: number) => n % 2 === 0 && n % 6 !== 0],
        [{ most: "yes", few: "yes" }, (n: number) => n % 600 === 0 && n % 6 !== 0],
        [{ half: "no" }, () => false],
      ] as [Record<string, string>, (n: number) => boolean][]) {
        for (const order of ["asc", "desc"] as const) {
          const request = { labels, order, limit: 7, createdAfter: 99 };
          const first = await driver.listSessions(request);
          const cursor = first.nextCursor;
          const second = cursor === undefined ? { items: [] } : await driver.listSessions({ ...request, cursor });
          const expected = all.filter((n) => n > 99 && has(n)).map(idOf);
          if (order === "desc") expected.reverse();
          assert.deepEqual(
            [...first.items, ...second.items].map(({ id }) => id),
            expected.slice(0, 14),
          );
        }
      }
    });
  });
}

test("Postgres: a page by label costs the server about its own rows, also when it knows nothing of the tables", async () => {
  const store = await makePostgres();
  await fill(
    store,
    "ALTER TABLE sessions SET (autovacuum_enabled = off); ALTER TABLE session_labels SET (autovacuum_enabled = off);",
  );
  const fetched = async () => {
    const [{ rows }] = await query(
      url,
      `SELECT (coalesce(idx_tup_fetch, 0) + seq_tup_read)::int AS rows
       FROM pg_stat_user_tables WHERE relname = 'sessions' AND schemaname = $1`,
      [store.schema],
    );
    return rows as number;
  };
  for (const [labels, atMost] of [
    [{ few: "yes" }, 2 * (SESSIONS / 600)],
    [{ half: "yes" }, 4 * 50],
    [{ most: "yes", half: "yes" }, 6 * 50],
  ] as const) {
    for (const order of ["asc", "desc"] as const) {
      const before = await fetched();
      const applicationName = "counted";
      const driver = store.open({ applicationName });
      await driver.listSessions({ labels, order, limit: 50 });
      await driver.close();
      // A connection tells what it has counted when it ends.
      const alive = "SELECT FROM pg_stat_activity WHERE application_name = $1";
      while ((await query(url, alive, [applicationName])).length > 0) await delay(10);
      const rows = (await fetched()) - before;
      assert.ok(rows <= atMost, `${rows} rows were read for ${JSON.stringify(labels)}, ${order}`);
    }
  }
});

/** More than twice as many as count as few with a label. */
const SESSIONS = 12_000;

function idOf(n: number): string {
  return `s${String(n).padStart(5, "0")}`;
}

/** Stores sessions in order of their number. Of the labels, every 600th has `few`, every second `half`, and five of six `most`. */
async function fill(store: Store, before = ""): Promise<void> {
  await (async () => {
    await using driver = store.open();
    await driver.ready();
  })();
  const numbers = `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${SESSIONS - 1})`;
  const id = "'s' || substr('0000' || n, length('0000' || n) - 4)";
  const label = (name: string, condition: string) =>
    `${numbers} INSERT INTO session_labels (session_id, name, value) SELECT ${id}, '${name}', 'yes' FROM numbers WHERE ${condition};`;
  await store.run(`${before}
    ${numbers} INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at)
      SELECT ${id}, 'mock', 'agent', 'connection', n FROM numbers;
    ${label("few", "n % 600 = 0")} ${label("half", "n % 2 = 0")} ${label("most", "n % 6 <> 0")}`);
}
