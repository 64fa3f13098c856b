// Two drivers that are open on one store, as in two processes.
import assert from "node:assert/strict";

import type { SessionPersistDriver } from "sandbox-agent" with { "resolution-mode": "import" };

import type { Case, Store } from "../case.ts";
import { insertAsSdk } from "../conflicts.ts";
import { eventsOf, ids, indexes, insert, range, record, sessionsOf } from "../records.ts";
import { assertSame } from "../same.ts";

export const severalWriters: Case[] = [
  {
    promise: "drivers that are opened at once on an empty store all work",
    otherwise: "of several processes that are deployed together, some do not start",
    async check(store) {
      const drivers = await Promise.all(range(0, 6).map(() => store.open()));
      await Promise.all(drivers.map((driver, n) => driver.updateSession(record(`session-${n}`))));
      const all = range(0, 6).map((n) => `session-${n}`);
      for (const driver of drivers) assert.deepEqual(ids(await sessionsOf(driver)), all);
    },
  },
  {
    promise: "what one driver has written, the other reads",
    otherwise: "a session cannot be resumed by another process",
    facts: [5],
    async check(store) {
      const [one, other] = await openTwo(store);
      await one.updateSession(record("s"));
      await insert(one, "s", [1, 2]);
      assertSame(await other.getSession("s"), record("s"));
      assert.deepEqual(indexes(await eventsOf(other, "s")), [1, 2]);
      await insert(other, "s", [3]);
      await other.updateSession(record("s", { agent: "second" }));
      await insert(one, "s", [4]);
      assert.deepEqual(indexes(await eventsOf(one, "s")), [1, 2, 3, 4]);
      assert.deepEqual(indexes(await eventsOf(other, "s")), [1, 2, 3, 4]);
      assert.equal((await one.getSession("s"))?.agent, "second");
      assert.deepEqual(ids(await sessionsOf(one)), ["s"]);
    },
  },
  {
    promise: "drivers that write to sessions of their own at once lose nothing",
    otherwise: "events are lost as soon as there are two processes",
    facts: [2, 6],
    async check(store) {
      const drivers = await openTwo(store);
      const sessions = range(0, 8).map((n) => `session-${n}`);
      await Promise.all(sessions.map((id, n) => insert(drivers[n % 2]!, id, range(1, 16))));
      for (const [n, id] of sessions.entries()) {
        assert.deepEqual(indexes(await eventsOf(drivers[(n + 1) % 2]!, id)), range(1, 16));
      }
    },
  },
  {
    promise: "an event at an index that the other driver has taken is stored too, or refused in the SDK's words",
    otherwise: "one of the two events is lost",
    facts: [6],
    async check(store) {
      const [one, other] = await openTwo(store);
      const stored = [
        await insertAsSdk(one, "s", 1, "one"),
        await insertAsSdk(other, "s", 1, "other"),
        await insertAsSdk(one, "s", 2, "one"),
      ];
      for (const driver of [one, other]) {
        assert.deepEqual(ids(await eventsOf(driver, "s")).sort(), ids(stored).sort());
      }
    },
  },
  {
    promise: "events that two drivers insert at one index at the same moment are both stored",
    otherwise: "one of the two events is lost",
    facts: [6],
    async check(store) {
      const drivers = await openTwo(store);
      const stored: string[] = [];
      for (const index of range(1, 11).map((n) => n * 10)) {
        const both = drivers.map((driver, n) => insertAsSdk(driver, "s", index, `driver-${n}`));
        stored.push(...ids(await Promise.all(both)));
      }
      assert.deepEqual(ids(await eventsOf(drivers[0]!, "s", 7)).sort(), stored.sort());
    },
  },
];

/** Two drivers, the second when the first has made what it needs: to open both at once is a case of its own. */
async function openTwo(store: Store): Promise<[SessionPersistDriver, SessionPersistDriver]> {
  const one = await store.open();
  await one.listSessions();
  return [one, await store.open()];
}
