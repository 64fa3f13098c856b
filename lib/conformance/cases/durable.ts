// What a driver finds that is opened on a store after the one that wrote it was closed.
import assert from "node:assert/strict";

import type { Case } from "../case.ts";
import { event, eventsOf, FULL, ids, indexes, insert, range, record, sessionsOf } from "../records.ts";
import { assertSame } from "../same.ts";

export const durable: Case[] = [
  {
    promise: "a driver that is opened later finds every record and event as it was",
    otherwise: "a restart loses sessions, and a new process does not find the sandbox of the old one",
    facts: [5, 9],
    async check(store) {
      const writer = await store.open();
      const others = ["a", "b"].map((id, n) => record(id, { createdAt: n }));
      for (const each of [FULL, ...others]) await writer.updateSession(each);
      await insert(writer, FULL.id, range(1, 121));
      await insert(writer, "no record", [1]);
      await store.close(writer);
      const reader = await store.open();
      assertSame(await reader.getSession(FULL.id), FULL);
      assertSame(await sessionsOf(reader, 2), [...others, FULL]);
      const expected = range(1, 121).map((index) => event(FULL.id, index));
      assertSame(await eventsOf(reader, FULL.id, 50), expected);
      assert.deepEqual(indexes(await eventsOf(reader, "no record")), [1]);
      assert.deepEqual(await eventsOf(reader, "a"), []);
    },
  },
  {
    promise: "the last of several updates is the one that is found later",
    otherwise: "a session that was destroyed is alive after a restart, or the other way round",
    facts: [3],
    async check(store) {
      const writer = await store.open();
      await writer.updateSession(FULL);
      await writer.updateSession(record("full", { modes: null }));
      await writer.updateSession(record("other"));
      await writer.updateSession(record("other", { destroyedAt: 5 }));
      await store.close(writer);
      const reader = await store.open();
      assertSame(await reader.getSession("full"), record("full", { modes: null }));
      assertSame(await reader.getSession("other"), record("other", { destroyedAt: 5 }));
      assert.deepEqual(ids(await sessionsOf(reader)), ["full", "other"]);
    },
  },
  {
    promise: "a session goes on where it ended, in driver after driver",
    otherwise: "a resumed session overwrites its past, or mixes it with what comes",
    facts: [4],
    async check(store) {
      for (const first of [1, 4, 7]) {
        const driver = await store.open();
        assert.deepEqual(indexes(await eventsOf(driver, "s")), range(1, first));
        await insert(driver, "s", range(first, first + 3));
        await store.close(driver);
      }
      assert.deepEqual(indexes(await eventsOf(await store.open(), "s")), range(1, 10));
    },
  },
];
