/**
 * The order of a driver's events in a session that another driver writes to as well, as one suite for every driver of
 * this package: an event that is moved takes the driver's later ones with it.
 */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import fc from "fast-check";
import type { SessionEvent } from "sandbox-agent";
import type { CaseOptions, ContractDriver } from "./contract.mts";
import { allEvents, eventAt } from "../support/records.mts";

/** Gives a function that opens drivers on one new, empty database. */
export type NewDatabase = (t: TestContext) => (options?: CaseOptions) => Promise<ContractDriver>;

const event = (sessionId: string, id: string, eventIndex: number) => eventAt(sessionId, eventIndex, { id });

/** What a session holds, as `id@index`. */
async function stored(driver: ContractDriver, sessionId = "s"): Promise<string[]> {
  return (await allEvents(driver, sessionId)).map(({ id, eventIndex }) => `${id}@${eventIndex}`);
}

/** Registers the suite for drivers on databases that `newDatabase` makes. */
export function order(name: string, newDatabase: NewDatabase): void {
  /** Two drivers, `a` and `b`; `b` has stored events at these indexes already. */
  async function besides(t: TestContext, indexes: number[], options: CaseOptions = {}) {
    const open = newDatabase(t);
    const [a, b] = await Promise.all([open(options), open(options)]);
    t.after(() => Promise.all([a.close?.(), b.close?.()]));
    for (const index of indexes) await b.insertEvent("s", event("s", `b${index}`, index));
    return { open, a, b };
  }

  describe(`${name}: order`, () => {
    for (const atOnce of [false, true]) {
      test(`an event that is moved takes the driver's later ones with it (${atOnce ? "all at once" : "awaited"})`, async (t) => {
        const { a } = await besides(t, [1, 5]);
        const events = ["a1", "a2", "a3"].map((id, at) => event("s", id, at + 1));
        if (atOnce) await Promise.all(events.map((each) => a.insertEvent("s", each)));
        else for (const each of events) await a.insertEvent("s", each);
        assert.deepEqual(await stored(a), ["b1@1", "b5@5", "a1@6", "a2@7", "a3@8"]);
        assert.deepEqual(
          events.map(({ eventIndex }) => eventIndex),
          [6, 7, 8],
          "the callers' objects say where their events are",
        );
      });
    }

    test("events that ask for a free place after the moved one stay there, and other sessions are left alone", async (t) => {
      const { a, b } = await besides(t, [1, 5]);
      await a.insertEvent("s", event("s", "a1", 1));
      await a.insertEvent("s", event("s", "a9", 9));
      await a.insertEvent("s", event("s", "a7", 7));
      await b.insertEvent("s", event("s", "b3", 3));
      await a.insertEvent("s", event("s", "a4", 4));
      assert.deepEqual(await stored(a), ["b1@1", "b3@3", "b5@5", "a1@6", "a7@7", "a9@9", "a4@10"]);

      await a.insertEvent("other", event("other", "a9", 9));
      await a.insertEvent("other", event("other", "a2", 2));
      assert.deepEqual(await stored(a, "other"), ["a2@2", "a9@9"]);
    });

    test("events that come out of order stay where they are put while none was moved", async (t) => {
      const { a } = await besides(t, [1, 5]);
      for (const index of [8, 2, 4, 3]) await a.insertEvent("s", event("s", `a${index}`, index));
      assert.deepEqual(await stored(a), ["b1@1", "a2@2", "a3@3", "a4@4", "b5@5", "a8@8"]);
    });

    test("a retry of an event that is stored where it asks for is replaced there, before and after a move", async (t) => {
      const { a } = await besides(t, [1, 5]);
      const early = event("s", "a2", 2);
      const moved = event("s", "a1", 1);
      await a.insertEvent("s", early);
      await a.insertEvent("s", moved);
      for (const each of [early, moved]) {
        each.createdAt = 7;
        await a.insertEvent("s", each);
      }
      assert.deepEqual(await stored(a), ["b1@1", "a2@2", "b5@5", "a1@6"]);
      const times = (await allEvents(a, "s")).filter(({ id }) => id.startsWith("a")).map(({ createdAt }) => createdAt);
      assert.deepEqual(times, [7, 7]);
    });

    test("with reject nothing is moved, and nothing follows", async (t) => {
      const { a } = await besides(t, [1, 5], { onEventIndexConflict: "reject" });
      await assert.rejects(a.insertEvent("s", event("s", "a1", 1)), { code: "ERR_PERSIST_INDEX_CONFLICT" });
      await a.insertEvent("s", event("s", "a2", 2));
      assert.deepEqual(await stored(a), ["b1@1", "a2@2", "b5@5"]);
    });

    test("a driver that is opened anew has moved nothing yet", async (t) => {
      const { open, a } = await besides(t, [1, 5]);
      await a.insertEvent("s", event("s", "a1", 1));
      await a.close?.();
      const again = await open();
      t.after(() => again.close?.());
      await again.insertEvent("s", event("s", "a2", 2));
      assert.deepEqual(await stored(again), ["b1@1", "a2@2", "b5@5", "a1@6"]);
    });

    test("of two drivers that write at once, each finds its events in the order in which it asked", async (t) => {
      const { a, b } = await besides(t, []);
      const drivers = { a, b };
      let sessions = 0;
      const asks = fc.record({
        driver: fc.constantFrom("a", "b"),
        indexes: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 4 }),
        awaited: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(asks, { minLength: 2, maxLength: 10 }), async (groups) => {
          const session = `session-${(sessions += 1)}`;
          const asked: { driver: string; ask: number; event: SessionEvent }[] = [];
          const pending: Promise<void>[] = [];
          for (const { driver, indexes, awaited } of groups) {
            for (const ask of indexes) {
              const each = event(session, `${driver}${asked.length}`, ask);
              asked.push({ driver, ask, event: each });
              pending.push(drivers[driver as "a" | "b"].insertEvent(session, each));
            }
            if (awaited) await Promise.all(pending.splice(0));
          }
          await Promise.all(pending);

          const events = await allEvents(a, session);
          const byIndex = asked.map((each) => each.event).sort((one, other) => one.eventIndex - other.eventIndex);
          assert.deepEqual(events, byIndex, "every event is stored once, where its object says");
          for (const driver of ["a", "b"]) {
            const own = asked.filter((each) => each.driver === driver);
            for (const [at, later] of own.entries()) {
              const moved = own.slice(0, at).some(({ ask, event: { eventIndex } }) => eventIndex !== ask);
              if (!moved && later.event.eventIndex !== later.ask) {
                const holder = events.find(({ eventIndex }) => eventIndex === later.ask);
                assert.ok(holder, `${later.event.id} left a free place though nothing was moved before it`);
              }
              for (const earlier of own.slice(0, at)) {
                if (earlier.ask >= later.ask) continue;
                const [one, other] = [earlier, later].map(
                  ({ ask, event: { id, eventIndex } }) => `${id}@${ask}->${eventIndex}`,
                );
                assert.ok(earlier.event.eventIndex < later.event.eventIndex, `${one} was asked for before ${other}`);
              }
            }
          }
        }),
        { numRuns: 150 },
      );
    });
  });
}
