// Pages: how many rows one holds, and where the next one goes on.
import assert from "node:assert/strict";

import type { ListPage, ListPageRequest, SessionPersistDriver } from "sandbox-agent" with {
  "resolution-mode": "import",
};

import type { Case } from "../case.ts";
import { allPages, event, ids, indexes, insert, range, record, sessionsOf } from "../records.ts";
import { assertSame } from "../same.ts";

export const pages: Case[] = [
  {
    promise: "a limit that is left out, not finite or below 1 means 100",
    otherwise: "a list is cut short, or holds everything at once",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 102);
      for (const limit of [undefined, NaN, Infinity, -Infinity, -1, 0, 0.5]) {
        const request = limit === undefined ? {} : { limit };
        for (const list of lists(driver)) assert.deepEqual(await sizes(list, request), [100, 2], `limit ${limit}`);
      }
    },
  },
  {
    promise: "a limit that is no whole number is rounded down",
    otherwise: "a list throws, or holds more than was asked for",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 3);
      for (const list of lists(driver)) {
        assert.deepEqual(await sizes(list, { limit: 1.99 }), [1, 1, 1]);
        assert.deepEqual(await sizes(list, { limit: 2.5 }), [2, 1]);
      }
    },
  },
  {
    promise: "a limit may be larger than the list, whatever it is",
    otherwise: "a program that asks for everything gets an error or nothing",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 3);
      for (const list of lists(driver)) {
        for (const limit of [4, 100_000, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])
          assert.deepEqual(await sizes(list, { limit }), [3]);
      }
    },
  },
  {
    promise: "listSessions without a request, or with an empty one, is the first page",
    otherwise: "a program that lists sessions as the SDK's types allow crashes",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 2);
      const first = await driver.listSessions();
      assert.equal(first.items.length, 2);
      assertSame(await driver.listSessions({}), first);
    },
  },
  {
    promise: "the last page has no cursor, also when it is full",
    otherwise: "every scan asks for one page more, and a list of sessions ends with an empty page",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 6);
      for (const list of lists(driver)) {
        assert.deepEqual(await sizes(list, { limit: 3 }), [3, 3]);
        assert.deepEqual(await sizes(list, { limit: 6 }), [6]);
      }
    },
  },
  {
    promise: "pages of any size hold each row once, in order",
    otherwise: "a scan misses events or sees them twice, and a resumed agent with it",
    facts: [4, 5],
    async check(store) {
      const driver = await store.open();
      await fill(driver, 12);
      for (const limit of [1, 2, 5, 7, 11, 13]) {
        const events = await allPages((request) => driver.listEvents({ sessionId: "s", ...request }), limit);
        assert.deepEqual(indexes(events.flat()), range(1, 13));
        assert.deepEqual(ids(await sessionsOf(driver, limit)), range(1, 13).map(sessionId));
      }
    },
  },
  {
    promise: "rows that come at the end between two pages are on a later page",
    otherwise: "the SDK begins to count below an event that came while it read, and the two collide",
    facts: [4],
    async check(store) {
      const driver = await store.open();
      await fill(driver, 4);
      const events = await driver.listEvents({ sessionId: "s", limit: 2 });
      const sessions = await driver.listSessions({ limit: 2 });
      await insert(driver, "s", [50]);
      await driver.updateSession(record(sessionId(99)));
      assert.deepEqual(indexes((await driver.listEvents({ sessionId: "s", ...after(events) })).items), [3, 4, 50]);
      assert.deepEqual(ids((await driver.listSessions(after(sessions))).items), [3, 4, 99].map(sessionId));
    },
  },
  {
    promise: "scans of many sessions in turns each get pages of their own, and what has come meanwhile",
    otherwise: "two sessions that are resumed at once get each other's history",
    facts: [4, 5],
    async check(store) {
      const driver = await store.open();
      const scans = range(0, 12).map((n) => ({ sessionId: `s${n}`, seen: [] as number[], cursor: {} }));
      await Promise.all(scans.map(({ sessionId }) => insert(driver, sessionId, range(1, 10))));
      for (const page of range(0, 5)) {
        if (page === 4) for (const { sessionId } of scans) await insert(driver, sessionId, [50]);
        for (const scan of scans) {
          const page = await driver.listEvents({ sessionId: scan.sessionId, limit: 2, ...scan.cursor });
          assert.ok(page.items.every(({ sessionId }) => sessionId === scan.sessionId));
          scan.seen.push(...indexes(page.items));
          scan.cursor = page.nextCursor ? after(page) : {};
        }
      }
      for (const { seen } of scans) assert.deepEqual(seen, [...range(1, 10), 50]);
    },
  },
  {
    promise: "a cursor may be used again, and with another limit",
    otherwise: "a page cannot be asked for again after an error, or when somebody goes back",
    async check(store) {
      const driver = await store.open();
      await fill(driver, 6);
      const cursor = after(await driver.listEvents({ sessionId: "s", limit: 2 }));
      for (const limit of [1, 2, 3]) {
        const { items } = await driver.listEvents({ sessionId: "s", ...cursor, limit });
        assert.deepEqual(indexes(items), range(3, 3 + limit));
      }
    },
  },
  {
    promise: "cursors lead through sessions whose ids hold what cursors are made of",
    otherwise: "one odd id, which programs may choose, hides all sessions after it",
    async check(store) {
      const driver = await store.open();
      const odd = ["5", ":", "a:b", "1,2", "a|b", '{"id":1}', '"', "\\", "%00", "a b", "\n", "é", "😀"];
      for (const id of odd) await driver.updateSession(record(id));
      assert.deepEqual(ids(await sessionsOf(driver, 1)).sort(), odd.sort());
    },
  },
];

type List = (request: ListPageRequest) => Promise<ListPage<unknown>>;

/** Stores `count` events of the session "s", from index 1, and as many sessions. */
async function fill(driver: SessionPersistDriver, count: number): Promise<void> {
  await Promise.all(
    range(1, count + 1).flatMap((n) => [
      driver.insertEvent("s", event("s", n)),
      driver.updateSession(record(sessionId(n))),
    ]),
  );
}

function sessionId(n: number): string {
  return `session-${String(n).padStart(3, "0")}`;
}

function lists(driver: SessionPersistDriver): List[] {
  return [(request) => driver.listEvents({ sessionId: "s", ...request }), (request) => driver.listSessions(request)];
}

async function sizes(list: List, request: ListPageRequest): Promise<number[]> {
  const found = await allPages((next) => list({ ...request, ...next }));
  return found.map((items) => items.length);
}

function after({ nextCursor }: ListPage<unknown>): { cursor: string } {
  assert.ok(nextCursor, "a page that is not the last has a cursor");
  return { cursor: nextCursor };
}
