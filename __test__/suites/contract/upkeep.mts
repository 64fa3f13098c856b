/** What an operator calls: checks and rebuilds find the rows that every driver may hold, and leave them as they are. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import type { Suite } from "./driver.mts";
import { event, record } from "./records.mts";

export function upkeep({ name, ours, oursOnly }: Suite): void {
  describe(`${name}: upkeep`, () => {
    oursOnly("a check names sessions without events, and events without a session", async (t) => {
      const driver = await ours(t);
      await driver.updateSession(record("whole"));
      await driver.insertEvent("whole", event("whole", 1));
      await driver.updateSession(record("empty"));
      await driver.insertEvent("orphan", event("orphan", 1));
      await driver.insertEvent("orphan", event("orphan", 2));
      const findings = await driver.check();
      const about = (code: string) => findings.filter((finding) => finding.code === code);
      assert.deepEqual(
        about("sessions-without-events").map(({ sessionIds, count, severity }) => [sessionIds, count, severity]),
        [[["empty"], 1, "info"]],
      );
      assert.deepEqual(
        about("events-without-session").map(({ sessionIds, count, severity }) => [sessionIds, count, severity]),
        [[["orphan"], 1, "warning"]],
      );
      for (const code of ["damaged", "unreadable-events", "unreadable-sessions", "tables-not-ready"]) {
        assert.deepEqual(about(code), []);
      }
      for (const { message, remedy } of findings) assert.ok(message && remedy);
    });
  });
}
