/** Text that a database cannot hold: characters that its encoding lacks, and U+0000, which no Postgres has. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

const ONCE = { timeout: 120_000 };

for (const [encoding, held] of [
  ["LATIN1", "é"],
  ["SQL_ASCII", "é 😀"],
]) {
  test(`${encoding}: what it cannot hold is refused alone, and the rest of the batch is stored`, ONCE, async (t) => {
    const connectionString = await server.createDatabase(`ENCODING '${encoding}'`);
    const driver = new PostgresSessionPersistDriver({ connectionString });
    t.after(() => driver.close());
    await driver.ready();
    const text = (index: number, text: string) =>
      eventAt("s", index, { payload: { jsonrpc: "2.0", method: "x", params: { text } } as never });
    const events = [text(1, "plain"), text(2, held), text(3, "密"), text(4, "after"), eventAt("s", 5, { id: "密" })];
    const settled = await Promise.allSettled(events.map((event) => driver.insertEvent("s", event)));
    const stored = events.filter((_, at) => settled[at].status === "fulfilled");
    if (encoding === "LATIN1") {
      assert.deepEqual(stored, [events[0], events[1], events[3]]);
      for (const at of [2, 4]) {
        const { reason } = settled[at] as PromiseRejectedResult;
        assert.deepEqual([reason.code, reason.sqlState], ["ERR_PERSIST_INVALID_ARGUMENT", "22P05"]);
        assert.match(reason.message, /encoding|UTF8/);
      }
      await assert.rejects(driver.updateSession(sessionOf("密")), { code: "ERR_PERSIST_INVALID_ARGUMENT" });
      assert.equal(await driver.getSession("密"), undefined);
      assert.deepEqual(await driver.listEvents({ sessionId: "密" }), { items: [] });
    } else {
      assert.deepEqual(stored, events);
    }
    assert.deepEqual(await allEvents(driver, "s"), stored);
  });
}

test("U+0000 is refused in what becomes a column, stored in JSON, and found by no read", ONCE, async (t) => {
  const driver = new PostgresSessionPersistDriver({ connectionString: server.url, schema: "zero" });
  t.after(() => driver.close());
  const refusal = { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT", message: /U\+0000|NUL/ };
  const zero = "a\u0000b";
  const good = eventAt("s", 1, { payload: { jsonrpc: "2.0", method: zero, params: { [zero]: zero } } as never });
  const wrong = [
    driver.insertEvent(zero, eventAt(zero, 1)),
    driver.insertEvent("s", eventAt("s", 2, { id: zero })),
    driver.insertEvent("s", eventAt("s", 2, { connectionId: zero })),
    driver.updateSession(sessionOf(zero)),
    ...["agent", "agentSessionId", "lastConnectionId", "sandboxId"].map((field) =>
      driver.updateSession(sessionOf("s", { [field]: zero })),
    ),
  ].map((write) => assert.rejects(write, refusal));
  const right = [driver.insertEvent("s", good), driver.updateSession(sessionOf("s", { [zero]: zero } as never))];
  await Promise.all([...wrong, ...right]);
  assert.deepEqual(await allEvents(driver, "s"), [good]);
  assert.deepEqual(await driver.getSession("s"), sessionOf("s", { [zero]: zero } as never));
  assert.equal(await driver.getSession(zero), undefined);
  assert.deepEqual(await driver.listEvents({ sessionId: zero }), { items: [] });
});
