/** Events: what one comes back as, their order in a session, and what becomes of one whose index is taken. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionEvent } from "sandbox-agent";
import type { Suite } from "./driver.mts";
import { event, indexes, MAX, present, range, record } from "./records.mts";

export function events({ name, fresh, oursOnly }: Suite): void {
  describe(`${name}: events`, () => {
    test("the events of an unknown session are an empty page", async (t) => {
      const driver = await fresh(t);
      assert.deepEqual(present(await driver.listEvents({ sessionId: "nobody" })), { items: [] });
    });

    test("an event comes back with every field it had", async (t) => {
      const driver = await fresh(t);
      const client = event("s", 0, { jsonrpc: "2.0", id: 1, method: "session/prompt" }, { sender: "client" });
      const agent = event("s", MAX, { jsonrpc: "2.0", id: 1, result: {} }, { createdAt: -MAX });
      await driver.insertEvent("s", client);
      await driver.insertEvent("s", agent);
      assert.deepEqual(present(await driver.listEvents({ sessionId: "s" })), { items: [client, agent] });
    });

    test("fields that this release does not know are kept", async (t) => {
      const driver = await fresh(t);
      const newer = event("s", 1, {}, { fromNewerSdk: { deep: [1, null] }, no: false } as Partial<SessionEvent>);
      await driver.insertEvent("s", newer);
      assert.deepEqual(present((await driver.listEvents({ sessionId: "s" })).items), [newer]);
    });

    test("events may come before their session's record, and stay when it comes", async (t) => {
      const driver = await fresh(t);
      await driver.insertEvent("s", event("s", 1));
      await driver.insertEvent("s", event("s", 2));
      assert.equal(await driver.getSession("s"), undefined);
      await driver.updateSession(record("s"));
      await driver.insertEvent("s", event("s", 3));
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s" })), [1, 2, 3]);
    });

    test("events come in order of their index, as a number, however they were inserted", async (t) => {
      const driver = await fresh(t);
      for (const index of [10, 2, 1000, 0, 9, 100, 1, 99]) await driver.insertEvent("s", event("s", index));
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s" })), [0, 1, 2, 9, 10, 99, 100, 1000]);
    });

    test("each session has its own events", async (t) => {
      const driver = await fresh(t);
      for (const session of ["a", "A", "a ", "", "ab"])
        await driver.insertEvent(session, event(session, 1, { session }));
      for (const session of ["a", "A", "a ", "", "ab"]) {
        const { items } = await driver.listEvents({ sessionId: session });
        assert.deepEqual(present(items), [event(session, 1, { session })]);
      }
    });

    test("inserts that are called at once are all stored", async (t) => {
      const driver = await fresh(t);
      await Promise.all(Array.from({ length: 300 }, (_, index) => driver.insertEvent("s", event("s", index))));
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", limit: 1000 })), range(0, 300));
    });

    test("a later change of the caller's event does not leak in", async (t) => {
      const driver = await fresh(t);
      const payload = { list: [1, { deep: "before" }] };
      const mine = event("s", 1, payload);
      const stored = driver.insertEvent("s", mine);
      (payload.list[1] as { deep: string }).deep = "after";
      mine.createdAt = 0;
      await stored;
      const [read] = (await driver.listEvents({ sessionId: "s" })).items;
      assert.deepEqual(present(read), event("s", 1, { list: [1, { deep: "before" }] }));
      Object.assign(read!.payload, { list: "after" });
      const [again] = (await driver.listEvents({ sessionId: "s" })).items;
      assert.deepEqual(again?.payload, { list: [1, { deep: "before" }] });
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
