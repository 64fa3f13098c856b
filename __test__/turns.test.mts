/** Turns of the event loop: many answers leave others their turn. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { startServer } from "./support/postgres/server.mts";
import { eventAt } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import type { Persist } from "./support/storage.mts";

const server = await startServer();
after(server.cleanup);

const stores: Record<string, (t: TestContext) => Promise<Persist>> = {
  SQLite: async (t) => new SQLiteSessionPersistDriver({ filename: join(directory(t), "turns.db") }),
  Postgres: async () => new PostgresSessionPersistDriver({ connectionString: await server.createDatabase() }),
};

for (const [store, open] of Object.entries(stores)) {
  describe(store, () => {
    test("others have their turns between the answers of 100,000 writes, which keep their order", async (t) => {
      const driver = await open(t);
      t.after(() => driver.close());
      const COUNT = 100_000;
      const settled: number[] = [];
      const writes = Array.from({ length: COUNT }, (_, index) =>
        driver.insertEvent("s", eventAt("s", index)).then(() => settled.push(index)),
      );
      /** How many were settled when each turn came. */
      const turns: number[] = [];
      (function turn() {
        turns.push(settled.length);
        if (settled.length < COUNT) setImmediate(turn);
      })();
      await Promise.all(writes);
      assert.ok(settled.every((index, position) => index === position));
      const between = new Set(turns.filter((count) => count > 0 && count < COUNT));
      assert.ok(between.size > 100, `others had ${between.size} turns between them`);
    });
  });
}
