/** Events: the ends of what their fields can be, and what becomes of one whose index is taken. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionEvent } from "sandbox-agent";
import type { Suite } from "./driver.mts";
import { event, indexes, MAX, present, range } from "./records.mts";

export function events({ name, fresh, oursOnly }: Suite): void {
  describe(`${name}: events`, () => {
    test("events come back from both ends of what an index and a time can be", async (t) => {
      const driver = await fresh(t);
      const given = [event("s", 0, {}, { createdAt: MAX }), event("s", MAX, {}, { createdAt: -MAX })];
      for (const each of given) await driver.insertEvent("s", each);
      assert.deepEqual(present((await driver.listEvents({ sessionId: "s" })).items), given);
    });

    test("an id is what it is: empty, or with a space at its end", async (t) => {
      const driver = await fresh(t);
      const sessions = ["", " ", "a", "a "];
      for (const session of sessions) await driver.insertEvent(session, event(session, 1, { session }));
      for (const session of sessions) {
        const { items } = await driver.listEvents({ sessionId: session });
        assert.deepEqual(present(items), [event(session, 1, { session })]);
      }
    });

    test("an event is stored as it was when insertEvent was called", async (t) => {
      const driver = await fresh(t);
      const payload = { list: [1, { deep: "before" }] };
      const mine = event("s", 1, payload);
      const stored = driver.insertEvent("s", mine);
      (payload.list[1] as { deep: string }).deep = "after";
      mine.createdAt = 0;
      await stored;
      const { items } = await driver.listEvents({ sessionId: "s" });
      assert.deepEqual(present(items), [event("s", 1, { list: [1, { deep: "before" }] })]);
    });

    oursOnly("the same event twice is one row, the second in place of the first", async (t) => {
      const driver = await fresh(t);
      await driver.insertEvent("s", event("s", 1, { try: 1 }, { extra: 1 } as Partial<SessionEvent>));
      const second = event("s", 1, { try: 2 }, { createdAt: 2, connectionId: "other", sender: "client" });
      await driver.insertEvent("s", second);
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [second] });
      assert.equal(second.eventIndex, 1);
    });

    oursOnly(
      "an event whose index is taken gets the next free one, on the very object, before the promise resolves",
      async (t) => {
        const driver = await fresh(t);
        await driver.insertEvent("s", event("s", 1));
        await driver.insertEvent("s", event("s", 7));
        const late = event("s", 1, { late: true }, { id: "late" });
        await driver.insertEvent("s", late);
        assert.equal(late.eventIndex, 8);
        const { items } = await driver.listEvents({ sessionId: "s" });
        assert.deepEqual(items, [event("s", 1), event("s", 7), late]);
      },
    );

    oursOnly("of events that are inserted at one index at once, each gets an index of its own", async (t) => {
      const driver = await fresh(t);
      const events = range(0, 50).map((n) => event("s", 5, { n }, { id: `e${n}` }));
      await Promise.all(events.map((each) => driver.insertEvent("s", each)));
      assert.deepEqual(indexes({ items: events }), range(5, 55), "in the order of the calls");
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, events);
    });

    oursOnly("no index beyond the safe integers is given: the event is refused", async (t) => {
      const driver = await fresh(t);
      await driver.insertEvent("s", event("s", MAX));
      const refused = event("s", MAX, {}, { id: "other" });
      await assert.rejects(driver.insertEvent("s", refused), { code: "ERR_PERSIST_INDEX_CONFLICT" });
      assert.equal(refused.eventIndex, MAX);
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [event("s", MAX)]);
    });

    oursOnly("with reject, a taken index is the error that makes the SDK try its next one", async (t) => {
      const driver = await fresh(t, { onEventIndexConflict: "reject" });
      await driver.insertEvent("s", event("s", 1));
      const late = event("s", 1, { late: true }, { id: "late" });
      await assert.rejects(driver.insertEvent("s", late), (error: Error & { code?: string }) => {
        assert.ok(error instanceof Error);
        assert.match(error.message, /UNIQUE constraint failed: .*session_id, .*event_index/);
        assert.equal(error.code, "ERR_PERSIST_INDEX_CONFLICT");
        return true;
      });
      assert.equal(late.eventIndex, 1);
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [event("s", 1)]);
      await driver.insertEvent("s", event("s", 1, { retried: true }));
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [event("s", 1, { retried: true })]);
    });

    oursOnly("a bad write among good ones rejects alone", async (t) => {
      const driver = await fresh(t, { onEventIndexConflict: "reject" });
      const writes = [event("s", 1), event("s", 1, {}, { id: "taken" }), event("s", -1), event("s", 2)];
      const results = await Promise.allSettled(writes.map((each) => driver.insertEvent("s", each)));
      assert.deepEqual(
        results.map((result) => (result.status === "fulfilled" ? "stored" : result.reason.code)),
        ["stored", "ERR_PERSIST_INDEX_CONFLICT", "ERR_PERSIST_INVALID_ARGUMENT", "stored"],
      );
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s" })), [1, 2]);
    });
  });
}
