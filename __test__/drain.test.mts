/** `flush` and `close` while somebody still hands over events, one after another, as the SDK does. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, after, describe, test } from "node:test";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt } from "./support/records.mts";
import { directory } from "./support/directory.mts";

type Driver = SQLiteSessionPersistDriver | PostgresSessionPersistDriver;
type Options = { drainTimeoutMs?: number };

const CLOSED = { code: "ERR_PERSIST_CLOSED" };

const server = await startServer();
after(server.cleanup);

const stores: Record<string, (t: TestContext) => Promise<(options?: Options) => Driver>> = {
  SQLite: async (t) => {
    const filename = join(directory(t), "drain.db");
    return (options) => new SQLiteSessionPersistDriver({ filename, ...options });
  },
  Postgres: async () => {
    const connectionString = await server.createDatabase();
    return (options) => new PostgresSessionPersistDriver({ connectionString, ...options });
  },
};

/** Inserts events as the SDK does: the next one when the last is stored, with a look at the session in between. */
async function writeOneByOne(driver: Driver, from: number, to: number): Promise<void> {
  for (let index = from; index <= to; index += 1) {
    await driver.insertEvent("s", eventAt("s", index));
    await driver.getSession("s");
  }
}

/** So many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function indexes(t: TestContext, driver: Driver): Promise<number[]> {
  t.after(() => driver.close());
  return (await allEvents(driver, "s")).map((event) => event.eventIndex);
}

const upTo = (count: number) => Array.from({ length: count }, (_, number) => number + 1);

for (const [store, opened] of Object.entries(stores)) {
  describe(store, () => {
    test("close stores what is handed over one after another, and then refuses", async (t) => {
      const open = await opened(t);
      const driver = open();
      const writing = writeOneByOne(driver, 1, 200);
      await driver.close();
      await writing;
      await assert.rejects(driver.getSession("s"), CLOSED);
      assert.deepEqual(await indexes(t, open()), upTo(200));
    });

    test("close waits for who pauses for some turns of the event loop", async (t) => {
      const open = await opened(t);
      const driver = open();
      const writing = (async () => {
        for (let index = 1; index <= 20; index += 1) {
          await driver.insertEvent("s", eventAt("s", index));
          await turns(3);
        }
      })();
      await Promise.all([driver.close(), driver.close(), driver[Symbol.asyncDispose]()]);
      await writing;
      assert.deepEqual(await indexes(t, open()), upTo(20));
    });

    test("close refuses after drainTimeoutMs what never ends, and all that it took is stored", async (t) => {
      const open = await opened(t);
      const driver = open({ drainTimeoutMs: 100 });
      let stored = 0;
      const writing = (async () => {
        for (let index = 1; ; index += 1) {
          await driver.insertEvent("s", eventAt("s", index));
          stored = index;
        }
      })();
      const refused = assert.rejects(writing, CLOSED);
      await driver.close();
      await refused;
      assert.ok(stored > 0);
      assert.deepEqual(await indexes(t, open()), upTo(stored));
    });

    test("flush waits for events that come late, again after each of them, and the driver goes on after it", async (t) => {
      const open = await opened(t);
      const driver = open();
      await driver.insertEvent("s", eventAt("s", 1));
      let handedOver = 0;
      setTimeout(() => void writeOneByOne(driver, 2, 20).then(() => (handedOver += 1)), 200);
      setTimeout(() => void writeOneByOne(driver, 21, 100).then(() => (handedOver += 1)), 400);
      await driver.flush();
      assert.equal(handedOver, 2);
      await driver.insertEvent("s", eventAt("s", 101));
      await driver.close();
      assert.deepEqual(await indexes(t, open()), upTo(101));
    });

    test("flush rejects after drainTimeoutMs when events never end", async (t) => {
      const open = await opened(t);
      const driver = open({ drainTimeoutMs: 300 });
      t.after(() => driver.close());
      let ended = false;
      const writing = (async () => {
        for (let index = 1; !ended; index += 1) await driver.insertEvent("s", eventAt("s", index));
      })();
      await assert.rejects(driver.flush(), { code: "ERR_PERSIST_TIMEOUT", message: /drainTimeoutMs/ });
      ended = true;
      await writing;
      await driver.flush();
    });

    test("flush rejects when drainTimeoutMs is over before it knows that nothing more comes", async (t) => {
      const open = await opened(t);
      const driver = open({ drainTimeoutMs: 100 });
      t.after(() => driver.close());
      await driver.insertEvent("s", eventAt("s", 1));
      await assert.rejects(driver.flush(), { code: "ERR_PERSIST_TIMEOUT", message: /250 ms/ });
    });
  });
}

test("flush and close do not use timers that a test puts in the place of the real ones", async (t) => {
  const driver = new SQLiteSessionPersistDriver();
  await driver.insertEvent("s", eventAt("s", 1));
  for (const name of ["setTimeout", "setImmediate", "clearTimeout"] as const) {
    t.mock.method(globalThis, name, () => {
      throw new Error(`${name} was called`);
    });
  }
  await driver.flush();
  await driver.close();
});
