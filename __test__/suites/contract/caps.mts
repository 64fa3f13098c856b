/** Caps: what is over one goes, the oldest first, and nothing else ever does. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ContractDriver, Suite } from "./driver.mts";
import { event, indexes, range, record, scan } from "./records.mts";

const stored = async (driver: ContractDriver, session: string) =>
  indexes({ items: await scan(({ cursor }) => driver.listEvents({ sessionId: session, limit: 1000, cursor })) });

const sessions = async (driver: ContractDriver) => {
  const items = await scan(({ cursor }) => driver.listSessions({ limit: 1000, cursor }));
  return items.map(({ id }) => id);
};

/** Reads until no more than `most` are left, and gives these. Removing goes on after the writes have resolved. */
async function atRest<T>(most: number, read: () => Promise<T[]>): Promise<T[]> {
  for (;;) {
    const items = await read();
    assert.ok(items.length >= most, `${items.length} are left of the ${most} that stay`);
    if (items.length === most) return items;
  }
}

export function caps({ name, fresh, ours, oursOnly }: Suite): void {
  describe(`${name}: caps`, () => {
    test("a session keeps its newest events, however they come, and other sessions keep theirs", async (t) => {
      const driver = await fresh(t, { maxEventsPerSession: 40 });
      await Promise.all(range(1, 31).map((index) => driver.insertEvent("few", event("few", index))));
      for (const index of range(1, 61)) await driver.insertEvent("s", event("s", index));
      await Promise.all(range(61, 301).map((index) => driver.insertEvent("s", event("s", index))));
      for (const index of range(301, 310)) await driver.insertEvent("s", event("s", index));
      assert.deepEqual(await atRest(40, () => stored(driver, "s")), range(270, 310));
      assert.deepEqual(await stored(driver, "few"), range(1, 31));
    });

    test("the sessions that were created first go, with all their events", async (t) => {
      const driver = await fresh(t, { maxSessions: 3 });
      const created = { d: 4, b: 2, e: 5, "a of two": 3, c: 3, a: 1 };
      for (const [id, createdAt] of Object.entries(created)) {
        await driver.insertEvent(id, event(id, 1));
        await driver.insertEvent(id, event(id, 2));
        await driver.updateSession(record(id, { createdAt }));
      }
      await driver.updateSession(record("c", { createdAt: 3, agent: "other" }));
      assert.deepEqual(await atRest(3, () => sessions(driver)), ["c", "d", "e"]);
      for (const id of Object.keys(created)) {
        const left = "cde".includes(id) ? [1, 2] : [];
        assert.deepEqual(await stored(driver, id), left, id);
      }
      assert.equal((await driver.getSession("c"))?.agent, "other");
    });

    oursOnly("events that are stored again do not count twice", async (t) => {
      const driver = await ours(t, { maxEventsPerSession: 20 });
      for (let round = 0; round < 5; round++) {
        await Promise.all(range(1, 21).map((index) => driver.insertEvent("s", event("s", index, { round }))));
      }
      await driver.insertEvent("s", event("s", 21));
      assert.deepEqual(await atRest(20, () => stored(driver, "s")), range(2, 22));
      await Promise.all(range(2, 22).map((index) => driver.insertEvent("s", event("s", index, { round: "last" }))));
      await driver.insertEvent("s", event("s", 22));
      assert.deepEqual(await atRest(20, () => stored(driver, "s")), range(3, 23));
    });

    oursOnly("gaps, reassigned events and late ones count as what they are", async (t) => {
      const driver = await ours(t, { maxEventsPerSession: 3 });
      const insert = (index: number, id: string) => driver.insertEvent("s", event("s", index, {}, { id }));
      for (const index of [10, 20, 30]) await insert(index, `e${index}`);
      await insert(20, "another");
      assert.deepEqual(await atRest(3, () => stored(driver, "s")), [20, 30, 31]);
      await insert(25, "between");
      assert.deepEqual(await atRest(3, () => stored(driver, "s")), [30, 31, 32]);
      await driver.deleteSession("other");
      await driver.insertEvent("low", event("low", 100));
      for (const index of [5, 6, 7]) await driver.insertEvent("low", event("low", index));
      assert.deepEqual(await atRest(3, () => stored(driver, "low")), [6, 7, 100]);
    });

    oursOnly("what was taken out of a session in between makes room again", async (t) => {
      const driver = await ours(t, { maxEventsPerSession: 20 });
      await Promise.all(range(1, 26).map((index) => driver.insertEvent("s", event("s", index))));
      await atRest(20, () => stored(driver, "s"));
      const fork = await driver.forkSession("s", { id: "fork" }).catch(() => undefined);
      assert.equal(fork, undefined, "there is no record to fork");
      await driver.updateSession(record("s"));
      await driver.forkSession("s", { id: "fork", throughIndex: 15 });
      for (const index of range(16, 30))
        await driver.insertEvent("fork", event("fork", index, {}, { id: `f${index}` }));
      // It had ten, and got fourteen.
      assert.deepEqual(await atRest(20, () => stored(driver, "fork")), range(10, 30));
    });

    oursOnly("events that compaction has joined make room, so that none goes before there are too many", async (t) => {
      const driver = await ours(t, { maxEventsPerSession: 40 });
      const update = { sessionUpdate: "agent_message_chunk", content: { type: "text", text: "word" } };
      const chunk = { jsonrpc: "2.0", method: "session/update", params: { sessionId: "a", update } };
      await driver.updateSession(record("s", { destroyedAt: 2_000_000_000_000 }));
      for (const index of range(1, 11)) await driver.insertEvent("s", event("s", index));
      for (const index of range(11, 41)) await driver.insertEvent("s", event("s", index, chunk));
      assert.equal((await driver.compactSession("s")).removed, 29);
      for (const index of range(41, 61)) await driver.insertEvent("s", event("s", index));
      assert.deepEqual(await stored(driver, "s"), [...range(1, 11), ...range(40, 61)]);
      for (const index of range(61, 71)) await driver.insertEvent("s", event("s", index));
      // What is removed now was counted after the compaction.
      assert.deepEqual(await atRest(40, () => stored(driver, "s")), [...range(2, 11), ...range(40, 71)]);
    });

    oursOnly("a session that was removed leaves no label and no tombstone: its id begins anew", async (t) => {
      const driver = await ours(t, { maxSessions: 1 });
      await driver.setLabels("s", { user: "u1" });
      await driver.insertEvent("s", event("s", 1));
      await driver.updateSession(record("s", { createdAt: 1 }));
      await driver.updateSession(record("t", { createdAt: 2 }));
      assert.deepEqual(await atRest(1, () => sessions(driver)), ["t"]);
      assert.deepEqual(await driver.getLabels("s"), {});
      await driver.insertEvent("s", event("s", 1, "anew"));
      await driver.updateSession(record("s", { createdAt: 3 }));
      assert.deepEqual(await atRest(1, () => sessions(driver)), ["s"]);
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [event("s", 1, "anew")]);
    });

    oursOnly("a session of ten thousand events goes as a whole while others are written", async (t) => {
      const driver = await ours(t, { maxSessions: 1 });
      await Promise.all(range(1, 10_001).map((index) => driver.insertEvent("large", event("large", index))));
      await driver.updateSession(record("large", { createdAt: 1 }));
      await driver.updateSession(record("s", { createdAt: 2 }));
      for (const index of range(1, 50)) await driver.insertEvent("s", event("s", index));
      assert.deepEqual(await atRest(1, () => sessions(driver)), ["s"]);
      assert.deepEqual(await stored(driver, "large"), []);
      assert.deepEqual(await stored(driver, "s"), range(1, 50));
    });
  });
}
