// Cursors while rows come that belong before them.
import assert from "node:assert/strict";

import type { Case } from "../case.ts";
import { allPages, event, ids, indexes, insert, range, record } from "../records.ts";

export const cursorsUnderWrites: Case[] = [
  {
    promise: "events that come in before a cursor make no other event repeat or be skipped",
    otherwise: "a session that is imported while it is read is replayed with parts twice",
    facts: [5],
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", range(10, 16));
      const { nextCursor } = await driver.listEvents({ sessionId: "s", limit: 3 });
      await insert(driver, "s", [1, 2, 3, 4]);
      const rest = await driver.listEvents({ sessionId: "s", cursor: nextCursor! });
      assert.deepEqual(indexes(rest.items), [13, 14, 15]);
    },
  },
  {
    promise: "sessions that come in before a cursor make no other session repeat or be skipped",
    otherwise: "a list of sessions shows some twice, since clocks differ or another machine was slow",
    async check(store) {
      const driver = await store.open();
      for (const n of range(0, 6)) await driver.updateSession(record(`s${n}`));
      const { nextCursor } = await driver.listSessions({ limit: 3 });
      for (const n of range(0, 4)) await driver.updateSession(record(`early${n}`, { createdAt: n }));
      assert.deepEqual(ids((await driver.listSessions({ cursor: nextCursor! })).items), ["s3", "s4", "s5"]);
    },
  },
  {
    promise: "a scan while events come in everywhere sees each once, in order, and all that were there",
    otherwise: "a resumed agent is told parts of its history twice, or not at all",
    facts: [4, 5],
    async check(store) {
      const driver = await store.open();
      for (const limit of [1, 2, 3]) {
        const sessionId = `scan-${limit}`;
        const before = range(0, 10).map((n) => n * 10);
        await insert(driver, sessionId, before);
        const during = [95, 5, 1, 45, 44, 43, 11, 99, 2, 3];
        const seen = await allPages(async (request) => {
          const page = await driver.listEvents({ sessionId, ...request });
          const next = during.pop();
          if (next !== undefined) await driver.insertEvent(sessionId, event(sessionId, next));
          return page;
        }, limit);
        const order = indexes(seen.flat());
        assert.deepEqual(
          order,
          [...new Set(order)].sort((a, b) => a - b),
        );
        assert.deepEqual(
          before.filter((index) => !order.includes(index)),
          [],
        );
      }
    },
  },
];
