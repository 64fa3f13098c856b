/** A server that is far away: writes do not wait for each other's answers, and nothing is lost of those under way. */
import assert from "node:assert/strict";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { PostgresSessionPersistDriver } from "../index.js";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { putFarAway } from "./support/postgres/far.mts";
import { startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt } from "./support/records.mts";

const server = await startServer();
after(server.cleanup);

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);

async function setUp(t: TestContext, milliseconds: number, options = {}) {
  const url = await server.createDatabase();
  const far = await putFarAway(server, milliseconds);
  t.after(() => far.close());
  const driver = new PostgresSessionPersistDriver({ connectionString: far.urlOf(url), ...options });
  t.after(() => {
    far.answersAfter(0);
    return driver.close();
  });
  // What tells the driver how far the server is.
  await driver.insertEvent("first", eventAt("first", 1));
  return { url, far, driver };
}

describe("a server that is far away", { concurrency: true }, () => {
  for (const options of [{}, { maxConnections: 2 }]) {
    test(`a write does not wait for the answers to others, with ${JSON.stringify(options)}`, async (t) => {
      const { url, far, driver } = await setUp(t, 200, options);
      const near = await otherConnection(t, url);
      // A connection that was not used for some seconds would be asked whether it still lives.
      await driver.insertEvent("first", eventAt("first", 2));
      far.answersAfter(Infinity);
      let answered = 0;
      const writes = [];
      // Two: how many more may be under way depends on how long the server takes.
      for (const session of upTo(2)) {
        writes.push(driver.insertEvent(`s${session}`, eventAt(`s${session}`, 1)).then(() => (answered += 1)));
        // It is stored, which nobody has been told yet.
        const stored = "SELECT count(*)::int AS count FROM events WHERE session_id <> 'first'";
        while ((await near.run(stored))[0].count < session);
      }
      assert.equal(answered, 0);
      far.answersAfter(0);
      await Promise.all(writes);
    });
  }

  test("of writes that were under way together when their connection broke, each is stored once, in its place", async (t) => {
    const { url, far, driver } = await setUp(t, 20);
    let stored = 0;
    const sessions = upTo(32).map(async (session) => {
      for (const index of upTo(30)) {
        await driver.insertEvent(`s${session}`, eventAt(`s${session}`, index));
        stored += 1;
      }
    });
    for (const round of upTo(8)) {
      while (stored < round * 100) await delay(1);
      far.cut();
    }
    await Promise.all(sessions);
    await driver.close();
    await using reader = new PostgresSessionPersistDriver({ connectionString: url });
    for (const session of upTo(32)) {
      const events = await allEvents(reader, `s${session}`);
      assert.deepEqual(
        events.map(({ eventIndex }) => eventIndex),
        upTo(30),
      );
      assert.deepEqual(
        events.map(({ id }) => id),
        upTo(30).map((index) => eventAt(`s${session}`, index).id),
      );
    }
  });
});
