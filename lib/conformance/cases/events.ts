// Events: what one comes back as, their order in a session, and what becomes of one whose index is taken.
import assert from "node:assert/strict";

import type { Case } from "../case.ts";
import { insertAsSdk } from "../conflicts.ts";
import { event, eventsOf, ids, indexes, insert, message, range, record } from "../records.ts";
import { assertSame } from "../same.ts";

export const events: Case[] = [
  {
    promise: "the events of a session that was never stored are an empty page, without a cursor",
    otherwise: "the first event of a new session is lost",
    facts: [4],
    async check(store) {
      const driver = await store.open();
      assertSame(await driver.listEvents({ sessionId: "nobody" }), { items: [] });
    },
  },
  {
    promise: "an event comes back with every field that it had",
    otherwise: "history says the wrong thing of who said what, and when",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const prompt = event("s", 1, { sender: "client", createdAt: 0, payload: message({ text: "hello" }) });
      const answer = event("s", 2, { createdAt: 2e12, connectionId: "another" });
      await driver.insertEvent("s", prompt);
      await driver.insertEvent("s", answer);
      assertSame(await driver.listEvents({ sessionId: "s" }), { items: [prompt, answer] });
    },
  },
  {
    promise: "events may come before the record of their session, and stay when it comes",
    otherwise: "the first two events of every session are lost",
    facts: [1],
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", [1, 2]);
      assert.equal(await driver.getSession("s"), undefined);
      await driver.updateSession(record("s"));
      await insert(driver, "s", [3]);
      assert.deepEqual(indexes(await eventsOf(driver, "s")), [1, 2, 3]);
    },
  },
  {
    promise: "listEvents is in order of eventIndex, as a number, however the events were inserted",
    otherwise: "a resumed agent is told its history out of order",
    facts: [5],
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", [10, 2, 1000, 9, 100, 1, 99]);
      assert.deepEqual(indexes(await eventsOf(driver, "s")), [1, 2, 9, 10, 99, 100, 1000]);
    },
  },
  {
    promise: "each session has its own events, whatever its id is made of",
    otherwise: "an agent is told what was said in somebody else's session",
    facts: [5],
    async check(store) {
      const driver = await store.open();
      const sessions = ["a", "A", "ab", "a/b", "../a", "a%", "a_", "é", "日本", "__proto__", "constructor"];
      for (const id of sessions) await insert(driver, id, [1, 2]);
      for (const id of sessions) assertSame(await eventsOf(driver, id), [event(id, 1), event(id, 2)]);
    },
  },
  {
    promise: "events that are inserted at once, in many sessions, are all stored",
    otherwise: "events are lost as soon as several agents work",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const sessions = range(0, 20).map((n) => `session-${n}`);
      await Promise.all(sessions.map((id) => insert(driver, id, range(1, 11))));
      for (const id of sessions) assert.deepEqual(indexes(await eventsOf(driver, id)), range(1, 11));
      await Promise.all(range(1, 51).map((index) => driver.insertEvent("one", event("one", index))));
      assert.deepEqual(indexes(await eventsOf(driver, "one")), range(1, 51));
    },
  },
  {
    promise: "insertEvent leaves the event that it is given as it is",
    otherwise: "listeners get another event than the one that the agent sent",
    facts: [7],
    async check(store) {
      const driver = await store.open();
      const given = event("s", 1, { payload: message({ list: [1, { deep: true }] }) });
      const before = structuredClone(given);
      await driver.insertEvent("s", given);
      assertSame(given, before);
    },
  },
  {
    promise: "an event that a listener changes, deep inside too, is stored unchanged",
    otherwise: "what a listener does to an event, before it shows it, changes history",
    facts: [7],
    async check(store) {
      const driver = await store.open();
      const params = { list: [1, { deep: "before" }] };
      const given = event("s", 1, { payload: message(params) });
      const expected = structuredClone(given);
      await driver.insertEvent("s", given);
      params.list.length = 0;
      given.createdAt = 0;
      const [read] = await eventsOf(driver, "s");
      assertSame(read, expected);
      Object.assign(read!.payload, { params: "changed" });
      assertSame(await eventsOf(driver, "s"), [expected]);
    },
  },
  {
    promise: "an event whose index is taken is stored beside the other, or refused in the words that the SDK looks for",
    otherwise: "one of the two events is lost",
    facts: [6],
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", [1]);
      const second = await insertAsSdk(driver, "s", 1, "second");
      assert.deepEqual(ids(await eventsOf(driver, "s")).sort(), ["s-event-1", second.id].sort());
    },
  },
  {
    promise: "pages of 500 lead to the highest eventIndex that there is",
    otherwise: "the SDK counts from an index that is taken, and new events collide with old ones",
    facts: [4],
    async check(store) {
      const driver = await store.open();
      await Promise.all(range(1, 603).map((index) => driver.insertEvent("s", event("s", index))));
      assert.equal(Math.max(...indexes(await eventsOf(driver, "s", 500))), 602);
    },
  },
];
