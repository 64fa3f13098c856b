/** `sessions`: what it prints. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { objects, run } from "../../support/command-line.mts";
import { sessionOf } from "../../support/records.mts";
import { filled, type NewStore } from "./store.mts";

export function sessions(newStore: NewStore): void {
  test("sessions: the newest first, as a table and as JSON", async (t) => {
    const { store } = await filled(t, newStore, async (driver) => {
      await driver.updateSession(sessionOf("old", { createdAt: 1_000 }));
      await driver.updateSession(sessionOf("new", { createdAt: 2_000 }));
    });
    const json = await run(["sessions", "--json"], { env: { SANDBOX_AGENT_PERSIST_URL: store } });
    assert.deepEqual([json.code, json.stderr], [0, ""]);
    assert.deepEqual(objects(json), [sessionOf("new", { createdAt: 2_000 }), sessionOf("old", { createdAt: 1_000 })]);
    const table = await run(["sessions", "--store", store]);
    assert.match(table.stdout, /created \(UTC\).*\n 1970-01-01 00:00 +new +mock +\n 1970-01-01 00:00 +old/);
  });
}
