/** Caps of SQLite drivers: on one file with others, on adopted tables, and where the owner of the tables keeps what is over. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";

import { caps, indexesOf, store } from "./suites/caps.mts";
import { range } from "./suites/contract/records.mts";
import { directory } from "./support/directory.mts";
import { listen } from "./support/notices.mts";
import { eventAt, sessionOf } from "./support/records.mts";
import { asOwner, EVENTS_TEXT, made, ORDER_INDEX, SESSIONS_0_4 } from "./support/sqlite/layouts.mts";
import { open } from "./support/sqlite/refusals.mts";

caps("SQLite", (t) => ({ driver: "SQLite", options: { filename: join(directory(t), "capped.db") } }));

for (const [what, body] of [
  ["forbids it", "SELECT RAISE(ABORT, 'never')"],
  ["ends the transaction", "SELECT RAISE(ROLLBACK, 'never')"],
  ["ignores it", "SELECT RAISE(IGNORE)"],
]) {
  test(`where a trigger of the owner ${what}, writes go on, and other sessions keep to the caps`, async (t) => {
    const filename = join(directory(t), "trigger.db");
    {
      await using driver = open(t, filename);
      await driver.ready();
    }
    for (const [table, column] of [
      ["events", "session_id"],
      ["sessions", "id"],
    ]) {
      asOwner(filename, (database) =>
        database.exec(
          `CREATE TRIGGER keep_${table} BEFORE DELETE ON ${table} WHEN old.${column} = 'kept' BEGIN ${body}; END`,
        ),
      );
    }
    const warnings = listen(t, "warning");
    const driver = open(t, filename, { maxEventsPerSession: 20, maxSessions: 2 });
    for (const index of range(1, 61)) {
      await Promise.all(["kept", "s"].map((session) => store(driver, session, [index])));
    }
    for (const [number, id] of ["kept", "first", "s", "t"].entries()) {
      await driver.updateSession(sessionOf(id, { createdAt: number }));
    }
    await warnings.until("warning");
    assert.deepEqual(warnings.of("warning").map(({ code }) => code), ["cap-not-kept"]); // prettier-ignore
    await driver.close();
    const reader = open(t, filename);
    assert.deepEqual(await indexesOf(reader, "kept"), range(1, 61));
    assert.deepEqual(await indexesOf(reader, "s"), range(41, 61));
    // The oldest of those over the cap cannot go, and none goes in its place.
    const { items } = await reader.listSessions();
    assert.deepEqual(items.map(({ id }) => id), ["kept", "s", "t"]); // prettier-ignore
    await reader.close();

    asOwner(filename, (database) => database.exec("DROP TRIGGER keep_events; DROP TRIGGER keep_sessions"));
    const again = open(t, filename, { maxEventsPerSession: 20 });
    await again.insertEvent("kept", eventAt("kept", 61));
    await again.close();
    assert.deepEqual(await indexesOf(open(t, filename), "kept"), range(42, 62));
  });
}

test("adopted tables keep to the caps, with what their owner has stored in them", async (t) => {
  const filename = made(
    t,
    `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS_TEXT}); ${ORDER_INDEX};
     WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 100)
       INSERT INTO events SELECT 'old-' || n, n, 's', n, 'c', 'agent', '{}' FROM number`,
  );
  const driver = open(t, filename, { maxEventsPerSession: 30 });
  await store(driver, "s", range(101, 111));
  await driver.close();
  assert.deepEqual(await indexesOf(open(t, filename), "s"), range(81, 111));
});
