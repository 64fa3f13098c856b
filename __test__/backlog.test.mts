/** What waits in a driver is bounded, reads and writes together: past the limit a call rejects, and those before are answered. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { otherConnection } from "./support/postgres/other-connection.mts";
import { startServer } from "./support/postgres/server.mts";
import { otherProcess } from "./support/sqlite/other-process.mts";
import { eventAt, largeEventAt, sessionOf } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import type { Persist } from "./support/storage.mts";

const server = await startServer();
after(server.cleanup);

const MIB = 2 ** 20;
const LIMIT = 512 * MIB;
const LONG_ID = "x".repeat(MIB);

/** A driver whose calls wait until `release`. */
type Held = (t: TestContext) => Promise<{ driver: Persist; release(): Promise<unknown> }>;

const stores: [string, Held][] = [
  [
    "SQLite",
    async (t) => {
      const filename = join(directory(t), "held.db");
      const other = await otherProcess(t, filename);
      await other.run("CREATE TABLE mine (a)");
      await other.run("BEGIN EXCLUSIVE");
      const driver = new SQLiteSessionPersistDriver({ filename, busyTimeoutMs: 120_000 });
      t.after(() => driver.close());
      return { driver, release: () => other.run("COMMIT") };
    },
  ],
  [
    "Postgres",
    async (t) => {
      const connectionString = await server.createDatabase();
      const patience = { queryTimeoutMs: 120_000, acquireTimeoutMs: 120_000 };
      const driver = new PostgresSessionPersistDriver({ connectionString, ...patience });
      t.after(() => driver.close());
      await driver.ready();
      const other = await otherConnection(t, connectionString);
      await other.run("BEGIN");
      await other.run("LOCK TABLE sessions, events IN ACCESS EXCLUSIVE MODE");
      return { driver, release: () => other.run("COMMIT") };
    },
  ],
];

// A call that neither rejects nor is answered is a failure.
const PATIENCE = { timeout: 120_000 };

const BUSY = { name: "Error", code: "ERR_PERSIST_BUSY", message: /512 MiB of calls/ };

for (const [name, held] of stores) {
  test(
    `${name}: reads past the limit reject, those before are answered, and afterwards the driver works`,
    PATIENCE,
    async (t) => {
      const { driver, release } = await held(t);
      const reads = Array.from({ length: LIMIT / MIB + 88 }, (_, number) => driver.getSession(LONG_ID + number));
      const settled = Promise.allSettled(reads);
      // One more, of whichever kind, is too much as well.
      const more = [
        driver.listEvents({ sessionId: LONG_ID }),
        driver.listSessions({ cursor: `s1:1:${LONG_ID}` }),
        driver.insertEvent("s", largeEventAt("s", 1, MIB)),
        driver.updateSession(sessionOf(LONG_ID)),
      ];
      await Promise.all(more.map((call) => assert.rejects(call, BUSY)));
      await release();

      const outcomes = await settled;
      const refused = outcomes.findIndex(({ status }) => status === "rejected");
      assert.ok(
        refused > LIMIT / MIB - 10 && refused < LIMIT / MIB,
        `the first that was refused was number ${refused}`,
      );
      for (const [number, outcome] of outcomes.entries()) {
        if (number < refused) assert.deepEqual(outcome, { status: "fulfilled", value: undefined });
        else await assert.rejects(reads[number], BUSY);
      }
      await driver.insertEvent("s", eventAt("s", 1));
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [eventAt("s", 1)] });
    },
  );

  test(
    `${name}: writes past the limit reject, those before are stored, and reads count for them`,
    PATIENCE,
    async (t) => {
      const { driver, release } = await held(t);
      const reads = Array.from({ length: LIMIT / MIB - 20 }, (_, number) => driver.getSession(LONG_ID + number));
      const writes = Array.from({ length: 40 }, (_, position) =>
        driver.insertEvent("s", largeEventAt("s", position, MIB)),
      );
      const settled = Promise.allSettled(writes);
      await assert.rejects(writes[20], BUSY);
      await release();

      const kept = (await settled).findIndex(({ status }) => status === "rejected");
      assert.ok(kept > 10 && kept < 20, `${kept} were kept`);
      for (const write of writes.slice(kept)) await assert.rejects(write, BUSY);
      await Promise.all(reads);
      await driver.insertEvent("s", largeEventAt("s", kept, MIB));
      const { items } = await driver.listEvents({ sessionId: "s" });
      assert.deepEqual(
        items.map(({ eventIndex }) => eventIndex),
        Array.from({ length: kept + 1 }, (_, position) => position),
      );
    },
  );
}
