/** Runs the suite of the order of events against the Postgres driver, and the same where connections break. */
import assert from "node:assert/strict";
import { after, describe, test, type TestContext } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { order } from "./suites/order.mts";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { startProxy } from "./support/postgres/proxy.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

let schemas = 0;

order("Postgres", () => {
  const schema = `order_${(schemas += 1)}`;
  return async (options) => new PostgresSessionPersistDriver({ connectionString: server.url, schema, ...options });
});

/** A driver with a network of its own, and a session in which another program has stored events at 1 and 5. */
async function setUp(t: TestContext, options = {}) {
  const schema = `order_${(schemas += 1)}`;
  const proxy = await startProxy(server);
  const connectionString = proxy.urlOf(server.url);
  const driver = new PostgresSessionPersistDriver({ connectionString, schema, queryTimeoutMs: 8_000, ...options });
  t.after(async () => {
    await driver.close();
    await proxy.close();
  });
  await driver.insertEvent("first", eventAt("first", 1));
  await query(
    server.url,
    `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     VALUES ('b1', 1, 's', 1, 'other', 'agent', '{}'), ('b5', 5, 's', 1, 'other', 'agent', '{}')`,
  );
  return {
    driver,
    proxy,
    schema,
    insert: (id: string, eventIndex: number) => driver.insertEvent("s", eventAt("s", eventIndex, { id })),
    stored: async () => (await allEvents(driver, "s")).map(({ id, eventIndex }) => `${id}@${eventIndex}`),
  };
}

const COMMIT = /^COMMIT/;
const READ = /^SELECT highest/;

describe("Postgres: order when the connection breaks", { concurrency: true }, () => {
  for (const atOnce of [false, true]) {
    for (const [what, lost, sql, then] of [
      ["the answer to the transaction that moves it is lost", "answer", COMMIT, "cut"],
      ["that transaction is lost", "request", COMMIT, "cut"],
      ["the answer to the look at the places is lost", "answer", READ, "cut"],
      ["the answer to the transaction that moves it is lost in silence", "answer", COMMIT, "silence"],
    ] as const) {
      test(`${what}: the moved event is stored once, and the later ones follow it (${atOnce ? "all at once" : "awaited"})`, async (t) => {
        const { proxy, insert, stored } = await setUp(t);
        const broken = lost === "answer" ? proxy.dropAnswerOnce(sql, then) : proxy.dropRequestOnce(sql, then);
        const events = ["a1", "a2", "a3"].map((id, at) => () => insert(id, at + 1));
        if (atOnce) await Promise.all(events.map((write) => write()));
        else for (const write of events) await write();
        await broken;
        assert.deepEqual(await stored(), ["b1@1", "b5@5", "a1@6", "a2@7", "a3@8"]);
      });
    }
  }

  for (const lost of ["answer", "request"] as const) {
    test(`an event that may have been moved takes the later ones with it, though its promise rejects (the ${lost} is lost)`, async (t) => {
      const { driver, proxy, insert, stored } = await setUp(t, { queryTimeoutMs: 1_500 });
      const event = eventAt("s", 1, { id: "a1" });
      const broken =
        lost === "answer" ? proxy.dropAnswerOnce(COMMIT, "silence") : proxy.dropRequestOnce(COMMIT, "silence");
      const silent = broken.then(() => proxy.pause());
      await assert.rejects(driver.insertEvent("s", event), { code: "ERR_PERSIST_TIMEOUT" });
      await silent;
      proxy.resume();
      await insert("a2", 2);
      // Whether it is stored or not, the same event again comes before what was written after it, or last.
      const isStored = lost === "answer";
      assert.deepEqual(await stored(), ["b1@1", "b5@5", ...(isStored ? ["a1@6", "a2@7"] : ["a2@6"])]);
      await driver.insertEvent("s", event);
      assert.deepEqual(await stored(), ["b1@1", "b5@5", ...(isStored ? ["a1@6", "a2@7"] : ["a2@6", "a1@7"])]);
    });
  }

  test("an event whose place is not known stays one event when its session is locked as well", async (t) => {
    const { driver, proxy, insert, stored, schema } = await setUp(t);
    await driver.updateSession(sessionOf("s"));
    // From now on the driver knows of the others.
    await insert("a1", 1);
    const broken = proxy.dropAnswerOnce(COMMIT, "silence");
    const writes = [insert("a2", 2), insert("a3", 3), driver.updateSession(sessionOf("s", { agent: "other" }))];
    await broken;
    // The next try begins when the silence has lasted for long enough.
    const other = await otherConnection(t, server.url);
    await other.run(`BEGIN; SELECT FROM ${schema}.sessions WHERE id = 's' FOR UPDATE`);
    await other.isInTheWayOf(1);
    await other.run("COMMIT");
    await Promise.all(writes);
    assert.deepEqual(await stored(), ["b1@1", "b5@5", "a1@6", "a2@7", "a3@8"]);
    assert.deepEqual(await driver.getSession("s"), sessionOf("s", { agent: "other" }));
  });

  test("an event that the server refused to move takes none with it", async (t) => {
    const { driver, insert, stored, schema } = await setUp(t);
    await query(server.url, `ALTER TABLE ${schema}.events ADD CHECK (id <> 'a1' OR event_index < 6)`);
    const events = ["a1", "a2"].map((id, at) => eventAt("s", at + 1, { id }));
    const results = await Promise.allSettled(events.map((event) => driver.insertEvent("s", event)));
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "fulfilled"],
    );
    assert.deepEqual(
      events.map(({ eventIndex }) => eventIndex),
      [1, 2],
    );
    await insert("a3", 3);
    assert.deepEqual(await stored(), ["b1@1", "a2@2", "a3@3", "b5@5"]);
  });
});
