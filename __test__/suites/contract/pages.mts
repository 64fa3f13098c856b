/** Pages: limits, cursors, and rows that come and go between two of them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { ListPage } from "sandbox-agent";
import type { ContractDriver, Suite } from "./driver.mts";
import { byNumber, event, indexes, present, range, record, scan } from "./records.mts";

export function pages({ name, fresh, oursOnly, remove }: Suite): void {
  describe(`${name}: pages`, () => {
    for (const limit of [undefined, NaN, Infinity, -Infinity, -1, 0, 0.5]) {
      test(`a limit of ${limit} means 100`, async (t) => {
        const driver = await fresh(t);
        await fill(driver, 101);
        const events = await driver.listEvents({ sessionId: "s", limit });
        const sessions = await driver.listSessions({ limit });
        assert.equal(events.items.length, 100);
        assert.equal(sessions.items.length, 100);
        assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", limit, cursor: events.nextCursor })), [100]);
        assert.equal((await driver.listSessions({ limit, cursor: sessions.nextCursor })).items.length, 1);
      });
    }

    for (const [limit, items] of [
      [1, 1],
      [1.99, 1],
      [2.9, 2],
      [4, 4],
      [5, 5],
      [1e300, 5],
      [2 ** 32 + 1, 5],
    ] as const) {
      test(`a limit of ${limit} gives ${items} of 5 rows`, async (t) => {
        const driver = await fresh(t);
        await fill(driver, 5);
        assert.equal((await driver.listEvents({ sessionId: "s", limit })).items.length, items);
        assert.equal((await driver.listSessions({ limit })).items.length, items);
      });
    }

    test("a request that is left out, or empty, is the first page", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 2);
      const first = await driver.listSessions();
      assert.equal(first.items.length, 2);
      assert.deepEqual(await driver.listSessions({}), first);
      assert.deepEqual(await driver.listSessions({ cursor: undefined, limit: undefined }), first);
    });

    test("the last page has no cursor, also when it is full", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 6);
      for (const list of lists(driver)) {
        assert.deepEqual(await sizes(list, 3), [3, 3]);
        assert.deepEqual(await sizes(list, 4), [4, 2]);
        assert.deepEqual(await sizes(list, 6), [6]);
        assert.deepEqual(await sizes(list, 7), [6]);
        assert.deepEqual(await sizes(list, 1), [1, 1, 1, 1, 1, 1]);
      }
    });

    test("a cursor of digits only is an offset, also past the end", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 5);
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: "0", limit: 2 })), [0, 1]);
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: "3" })), [3, 4]);
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: "0004" })), [4]);
      assert.deepEqual(
        (await driver.listSessions({ cursor: "2", limit: 2 })).items.map(({ id }) => id),
        ["s0002", "s0003"],
      );
      for (const cursor of ["5", "6", "4294967296", "99999999999999999999999"]) {
        assert.deepEqual(present(await driver.listEvents({ sessionId: "s", cursor })), { items: [] });
        assert.deepEqual(present(await driver.listSessions({ cursor })), { items: [] });
      }
    });

    test("the pages after an offset go on where it began", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 9);
      for (const list of lists(driver)) assert.deepEqual(await sizes(list, 3, "2"), [3, 3, 1]);
    });

    test("rows that come at the end between pages are seen", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 4);
      const events = await driver.listEvents({ sessionId: "s", limit: 2 });
      const sessions = await driver.listSessions({ limit: 2 });
      await driver.insertEvent("s", event("s", 50));
      await driver.updateSession(record("s9999"));
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: events.nextCursor })), [2, 3, 50]);
      assert.deepEqual(
        (await driver.listSessions({ cursor: sessions.nextCursor })).items.map(({ id }) => id),
        ["s0002", "s0003", "s9999"],
      );
    });

    test("scans in turns each get their own pages, and what came while they were read", async (t) => {
      const driver = await fresh(t);
      const sessions = range(0, 12).map((n) => `s${n}`);
      await Promise.all(sessions.flatMap((id) => range(0, 9).map((n) => driver.insertEvent(id, event(id, n)))));
      const scans = sessions.map((sessionId) => ({ sessionId, cursor: undefined as string | undefined }));
      for (const [page, expected] of [
        [0, [0, 1]],
        [1, [2, 3]],
        [2, [4, 5]],
        [3, [6, 7]],
        [4, [8, 50]],
      ] as const) {
        if (page === 4) for (const id of sessions) await driver.insertEvent(id, event(id, 50));
        for (const scan of scans) {
          const found = await driver.listEvents({ ...scan, limit: 2 });
          assert.deepEqual(indexes(found), expected);
          assert.ok(found.items.every((item) => item.sessionId === scan.sessionId));
          scan.cursor = found.nextCursor;
        }
      }
      assert.ok(scans.every(({ cursor }) => cursor === undefined));
    });

    oursOnly("rows that come before the cursor make no other row repeat or be skipped", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 6, { from: 10 });
      const events = await driver.listEvents({ sessionId: "s", limit: 3 });
      const sessions = await driver.listSessions({ limit: 3 });
      for (const early of [0, 1, 2, 3]) {
        await driver.insertEvent("s", event("s", early));
        await driver.updateSession(record(`early${early}`, { createdAt: 1 }));
      }
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: events.nextCursor })), [13, 14, 15]);
      assert.deepEqual(
        (await driver.listSessions({ cursor: sessions.nextCursor })).items.map(({ id }) => id),
        ["s0013", "s0014", "s0015"],
      );
    });

    if (remove) {
      oursOnly("rows that go between pages make no other row repeat or be skipped", async (t) => {
        const driver = await fresh(t);
        await fill(driver, 8);
        const events = await driver.listEvents({ sessionId: "s", limit: 4 });
        const sessions = await driver.listSessions({ limit: 4 });
        // The row that the cursor names, one before it, and one after it.
        for (const index of [1, 3, 5]) {
          await remove(driver, { session: "s", eventIndex: index });
          await remove(driver, { session: `s000${index}` });
        }
        assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: events.nextCursor })), [4, 6, 7]);
        assert.deepEqual(
          (await driver.listSessions({ cursor: sessions.nextCursor })).items.map(({ id }) => id),
          ["s0004", "s0006", "s0007"],
        );
        assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s" })), [0, 2, 4, 6, 7], "they did go");
      });
    }

    oursOnly("a scan while rows come everywhere sees each row once, in order, and all that were there", async (t) => {
      const driver = await fresh(t);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(fc.nat(60), { minLength: 1, maxLength: 20 }),
          fc.array(fc.nat(60), { maxLength: 20 }),
          fc.integer({ min: 1, max: 4 }),
          async (before, during, limit) => {
            const sessionId = `scan${run++}`;
            await Promise.all(before.map((index) => driver.insertEvent(sessionId, event(sessionId, index))));
            const seen = await scan(async ({ cursor }) => {
              const page = await driver.listEvents({ sessionId, cursor, limit });
              const next = during.pop();
              if (next !== undefined) await driver.insertEvent(sessionId, event(sessionId, next));
              return page;
            });
            const order = indexes({ items: seen });
            assert.deepEqual(order, [...new Set(order)].sort(byNumber));
            assert.deepEqual(
              before.filter((index) => !order.includes(index)),
              [],
            );
          },
        ),
        { numRuns: 60 },
      );
    });

    test("a cursor may be used again, with another limit", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 6);
      const { nextCursor } = await driver.listEvents({ sessionId: "s", limit: 2 });
      for (const limit of [1, 2, 3]) {
        const page = await driver.listEvents({ sessionId: "s", cursor: nextCursor, limit });
        assert.deepEqual(indexes(page), range(2, 2 + limit));
      }
    });

    oursOnly("a cursor of the other list is refused", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 3);
      const ofEvents = (await driver.listEvents({ sessionId: "s", limit: 1 })).nextCursor;
      const ofSessions = (await driver.listSessions({ limit: 1 })).nextCursor;
      const refusal = { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT", message: /cursor/ };
      await assert.rejects(driver.listSessions({ cursor: ofEvents }), refusal);
      await assert.rejects(driver.listEvents({ sessionId: "s", cursor: ofSessions }), refusal);
    });

    test("cursors lead through sessions whose ids hold what cursors are made of", async (t) => {
      const driver = await fresh(t);
      const ids = ["5", ":", "a:b", "e1:5", "s1:5:a", '"\\\n', "é😀", ""];
      for (const id of ids) await driver.updateSession(record(id));
      const seen = await scan(({ cursor }) => driver.listSessions({ cursor, limit: 1 }));
      assert.deepEqual(seen.map(({ id }) => id).sort(), ids.sort());
    });
  });
}

/** Stores `count` events of the session "s", and as many sessions, "s0000" and so on. */
async function fill(driver: ContractDriver, count: number, { from = 0 } = {}): Promise<void> {
  await Promise.all(
    range(from, from + count).flatMap((n) => [
      driver.insertEvent("s", event("s", n)),
      driver.updateSession(record(`s${String(n).padStart(4, "0")}`)),
    ]),
  );
}

type List = (request: { cursor?: string; limit?: number }) => Promise<ListPage<unknown>>;

function lists(driver: ContractDriver): List[] {
  return [(request) => driver.listEvents({ sessionId: "s", ...request }), (request) => driver.listSessions(request)];
}

async function sizes(list: List, limit: number, cursor?: string): Promise<number[]> {
  const found: number[] = [];
  do {
    const page = await list({ cursor, limit });
    found.push(page.items.length);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return found;
}
