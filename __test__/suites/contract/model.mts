/** Any writes, read back in pages of any sizes, beside a model of what should be there. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { SessionEvent, SessionRecord } from "sandbox-agent";
import type { Suite } from "./driver.mts";
import { byNumber, event, indexes, present, record, scan } from "./records.mts";

export function model({ name, fresh, oursOnly }: Suite): void {
  describe(`${name}: a model`, () => {
    test("any inserts, read in pages of any sizes, are the sorted list", async (t) => {
      const driver = await fresh(t);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(fc.nat(200), { maxLength: 30 }),
          fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 }),
          async (order, limits) => {
            const sessionId = `s${run++}`;
            await Promise.all(order.map((index) => driver.insertEvent(sessionId, event(sessionId, index))));
            const seen = await scan(({ cursor, page }) =>
              driver.listEvents({ sessionId, cursor, limit: limits[page % limits.length] }),
            );
            const expected = order.toSorted(byNumber).map((index) => event(sessionId, index));
            assert.deepEqual(present(seen), expected);
          },
        ),
        { numRuns: 100 },
      );
    });

    test("any inserts and replacements of sessions, read in pages of any sizes, are the sorted list", async (t) => {
      const model = new Map<string, SessionRecord>();
      const driver = await fresh(t);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(25), fc.nat(6)), { maxLength: 6 }),
          fc.integer({ min: 1, max: 12 }),
          async (writes, limit) => {
            for (const [id, createdAt] of writes) model.set(`s${id + 100}`, record(`s${id + 100}`, { createdAt }));
            const calls = writes.map(([id, createdAt]) => driver.updateSession(record(`s${id + 100}`, { createdAt })));
            await Promise.all(calls);
            const seen = await scan(({ cursor }) => driver.listSessions({ cursor, limit }));
            const expected = [...model.values()].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
            assert.deepEqual(present(seen), expected);
          },
        ),
        // The sessions of earlier runs stay, in the driver and in the model, so a failed run cannot be shrunk.
        { numRuns: 100, endOnFailure: true },
      );
    });

    oursOnly("any inserts with retries and conflicts leave what the rules say", async (t) => {
      const driver = await fresh(t);
      let run = 0;
      const write = fc.record({ index: fc.nat(8), id: fc.constantFrom("a", "b", "c"), n: fc.nat() });
      await fc.assert(
        fc.asyncProperty(fc.array(write, { maxLength: 25 }), fc.boolean(), async (writes, atOnce) => {
          const sessionId = `s${run++}`;
          const model = new Map<number, SessionEvent>();
          let moved = -1;
          const given: SessionEvent[] = [];
          const expectedIndexes: number[] = [];
          const calls: Promise<void>[] = [];
          for (const { index, id, n } of writes) {
            const each = event(sessionId, index, { n }, { id });
            given.push(each);
            const call = driver.insertEvent(sessionId, each);
            calls.push(call);
            if (!atOnce) await call;
            const taken = model.get(index);
            const stays = taken ? taken.id === id : index > moved;
            const place = stays ? index : Math.max(...model.keys()) + 1;
            if (!stays) moved = place;
            model.set(place, event(sessionId, place, { n }, { id }));
            expectedIndexes.push(place);
          }
          await Promise.all(calls);
          assert.deepEqual(indexes({ items: given }), expectedIndexes);
          const expected = [...model.values()].sort((a, b) => a.eventIndex - b.eventIndex);
          assert.deepEqual((await driver.listEvents({ sessionId })).items, expected);
        }),
        { numRuns: 100 },
      );
    });
  });
}
