/** Pages: limits of any size, cursors that are offsets, and rows that come and go between two pages. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { ListPage } from "sandbox-agent";
import type { ContractDriver, Suite } from "./driver.mts";
import { byNumber, event, indexes, present, range, record, scan } from "./records.mts";

export function pages({ name, fresh, oursOnly, remove }: Suite): void {
  describe(`${name}: pages`, () => {
    test("a limit may be any finite number", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 5);
      for (const list of lists(driver))
        for (const limit of [5.5, 1e300]) assert.deepEqual(await sizes(list, limit), [5]);
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

    oursOnly("a cursor of the other list is refused", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 3);
      const ofEvents = (await driver.listEvents({ sessionId: "s", limit: 1 })).nextCursor;
      const ofSessions = (await driver.listSessions({ limit: 1 })).nextCursor;
      const refusal = { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT", message: /cursor/ };
      await assert.rejects(driver.listSessions({ cursor: ofEvents }), refusal);
      await assert.rejects(driver.listEvents({ sessionId: "s", cursor: ofSessions }), refusal);
    });
  });
}

/** Stores `count` events of the session "s", and as many sessions, "s0000" and so on. */
async function fill(driver: ContractDriver, count: number): Promise<void> {
  await Promise.all(
    range(0, count).flatMap((n) => [
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
