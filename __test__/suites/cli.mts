/** The command line over a store of either kind: what it prints, and what it ends with. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";

import { objects, run } from "../support/command-line.mts";
import { sessionOf } from "../support/records.mts";
import { openPersist, type Persist, type Storage } from "../support/storage.mts";

/** A new store, and what `--store` is for it. */
export type NewStore = (t: TestContext) => Promise<{ storage: Storage; store: string }>;

export function commandLine(name: string, newStore: NewStore): void {
  async function filled(t: TestContext, fill: (driver: Persist) => Promise<void>): Promise<string> {
    const { storage, store } = await newStore(t);
    const driver = openPersist(storage);
    await fill(driver);
    await driver.close();
    return store;
  }

  describe(name, { concurrency: true }, () => {
    test("sessions: the newest first, as a table and as JSON", async (t) => {
      const store = await filled(t, async (driver) => {
        for (const [id, createdAt] of [
          ["old", 1_000],
          ["new", 2_000],
        ] as const) {
          await driver.updateSession(sessionOf(id, { createdAt }));
        }
      });
      const env = { SANDBOX_AGENT_PERSIST_URL: store };
      const json = await run(["sessions", "--json"], { env });
      assert.deepEqual([json.code, json.stderr], [0, ""]);
      assert.deepEqual(objects(json), [sessionOf("new", { createdAt: 2_000 }), sessionOf("old", { createdAt: 1_000 })]);
      const table = await run(["sessions", "--store", store]);
      assert.match(table.stdout, /created \(UTC\).*\n 1970-01-01 00:00 +new +mock +\n 1970-01-01 00:00 +old/);
    });
  });
}
