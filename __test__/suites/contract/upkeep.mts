/** What an operator calls: checks find the rows that every driver may hold, and all of it works beside writers and followers. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe } from "node:test";
import type { SessionEvent } from "sandbox-agent";

import { directory } from "../../support/directory.mts";
import type { Suite } from "./driver.mts";
import { event, record, scan } from "./records.mts";

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

    oursOnly(
      "beside writers and followers all of it works at once, and no event is lost, changed or out of order",
      async (t) => {
        const driver = await ours(t);
        const sessions = ["a", "b", "c", "d"];
        await Promise.all(sessions.map((id) => driver.updateSession(record(id))));
        for (const id of ["old-1", "old-2"]) {
          await driver.updateSession(record(id, { destroyedAt: 1 }));
          await driver.setLabels(id, { old: "yes" });
          await Promise.all(
            Array.from({ length: 600 }, (_, at) => driver.insertEvent(id, event(id, at + 1, chunk(at)))),
          );
        }
        const followers = sessions.map(async (sessionId) => {
          const seen: SessionEvent[] = [];
          for await (const event of driver.tailEvents({ sessionId })) {
            seen.push(event);
            if (isLast(event)) break;
          }
          return seen;
        });
        let isOver = false;
        const writers = sessions.map(async (id) => {
          const written: SessionEvent[] = [];
          do {
            const index = written.length + 1;
            const next = event(id, index, isOver && index > 20 ? LAST : chunk(index));
            await driver.insertEvent(id, next);
            written.push(next);
          } while (!isLast(written.at(-1)!));
          return written;
        });
        const compacted = driver.compactSessions({ destroyedBefore: 2 });
        await Promise.all([
          compacted.then(() => driver.pruneSessions({ labels: { old: "yes" } })).then(() => driver.vacuum()),
          ...[1, 2].map(() => driver.check()),
          ...[1, 2, 3, 4].map(() => driver.stats()),
          "backup" in driver && driver.backup(join(directory(t), "backup.db")),
        ]).finally(() => (isOver = true));
        assert.deepEqual({ ...(await compacted), bytes: 0 }, { sessions: 2, events: 1_200, removed: 1_198, bytes: 0 });
        for (const [number, written] of (await Promise.all(writers)).entries()) {
          const sessionId = sessions[number]!;
          assert.deepEqual(await scan(({ cursor }) => driver.listEvents({ sessionId, cursor, limit: 500 })), written);
          assert.deepEqual(await followers[number], written);
        }
        assert.deepEqual((await driver.listSessions()).items.map(({ id }) => id).sort(), sessions);
      },
    );
  });
}

const chunk = (number: number) => ({
  jsonrpc: "2.0",
  method: "session/update",
  params: { update: { sessionUpdate: "agent_message_chunk", content: { type: "text", text: `${number} ` } } },
});

const LAST = { jsonrpc: "2.0", method: "last" };
const isLast = ({ payload }: SessionEvent) => (payload as { method?: string }).method === LAST.method;
