/** Copies of sessions: what is copied and what is not, which ids are refused, and that both go on by themselves. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import type { OurDriver, Suite } from "./driver.mts";
import { event, FULL, indexes, MAX, range, record, scan } from "./records.mts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const eventsOf = (driver: OurDriver, sessionId: string) =>
  scan(({ cursor }) => driver.listEvents({ sessionId, cursor, limit: 500 }));

/** All that is stored of a session. */
const contentsOf = async (driver: OurDriver, id: string) => ({
  record: await driver.getSession(id),
  labels: await driver.getLabels(id),
  events: await eventsOf(driver, id),
});

/** A session with events 1 to `last`. */
async function fill(driver: OurDriver, id: string, last: number): Promise<void> {
  await Promise.all([
    driver.updateSession(record(id)),
    ...range(1, last + 1).map((index) =>
      driver.insertEvent(id, event(id, index, { index }, { id: `${id}-${index}`, createdAt: index })),
    ),
  ]);
}

export function forks({ name, ours, oursOnly }: Suite): void {
  describe(`${name}: forks`, () => {
    oursOnly("a fork has all of its source but ids and destroyedAt, and the source stays as it was", async (t) => {
      const driver = await ours(t);
      const source = { ...FULL, id: "source", fromNewerSdk: { a: [1] } };
      const odd = JSON.parse('{"z":1,"a":{"y":[1e2,1.0]},"10":4,"":"\\u0000\\ud800","__proto__":{}}');
      await driver.updateSession(source);
      await driver.insertEvent("source", event("source", 0, odd, { id: "first", createdAt: 5 }));
      await driver.insertEvent("source", event("source", 7, null, { sender: "client", connectionId: "other" }));
      await driver.insertEvent("source", event("source", MAX, "last", { fromNewerSdk: "x" } as object));
      await driver.setLabels("source", { tenant: "acme", empty: "" });
      const before = await contentsOf(driver, "source");

      const fork = await driver.forkSession("source");
      assert.match(fork.id, UUID);
      const { destroyedAt: _, ...kept } = source;
      assert.deepEqual(fork, { ...kept, id: fork.id });
      const copy = await contentsOf(driver, fork.id);
      assert.deepEqual(copy.record, fork);
      assert.deepEqual(copy.labels, { tenant: "acme", empty: "", forkedFrom: "source", forkedThrough: `${MAX}` });
      assert.deepEqual(
        copy.events,
        before.events.map((event, at) => ({ ...event, id: copy.events[at]!.id, sessionId: fork.id })),
      );
      // The text too: the order of keys, and a key such as `__proto__`.
      const payloads = ({ events }: typeof before) => JSON.stringify(events.map(({ payload }) => payload));
      assert.equal(payloads(copy), payloads(before));
      const ids = [...before.events, ...copy.events].map(({ id }) => id);
      assert.equal(new Set(ids).size, 6);
      for (const { id } of copy.events) assert.match(id, UUID);
      assert.deepEqual(await contentsOf(driver, "source"), before);
    });

    oursOnly("throughIndex is the last index that is copied", async (t) => {
      const driver = await ours(t);
      await driver.insertEvent("s", event("s", 0, {}, { id: "zero" }));
      await fill(driver, "s", 20);
      for (const [throughIndex, last] of [
        [0, 0],
        [13, 13],
        [20, 20],
        [21, 20],
        [MAX, 20],
        [undefined, 20],
      ] as const) {
        const { id } = await driver.forkSession("s", { throughIndex });
        assert.deepEqual(indexes({ items: await eventsOf(driver, id) }), range(0, last + 1));
        assert.deepEqual(await driver.getLabels(id), { forkedFrom: "s", forkedThrough: `${last}` });
      }
    });

    oursOnly("a fork without events has no forkedThrough", async (t) => {
      const driver = await ours(t);
      await fill(driver, "s", 3);
      await driver.setLabels("s", { forkedThrough: "of its own", forkedFrom: "elsewhere" });
      const { id } = await driver.forkSession("s", { id: "none", throughIndex: 0 });
      assert.deepEqual(await eventsOf(driver, id), []);
      assert.deepEqual(await driver.getLabels(id), { forkedFrom: "s" });
      await driver.updateSession(record("empty"));
      assert.deepEqual(await driver.forkSession("empty", { id: "copy" }), { ...record("empty"), id: "copy" });
      assert.deepEqual(await driver.getLabels("copy"), { forkedFrom: "empty" });
    });

    oursOnly("a fork of a fork says where it is from itself, and may have two labels more than others", async (t) => {
      const driver = await ours(t);
      await fill(driver, "s", 5);
      const own = Object.fromEntries(range(0, 64).map((number) => [`label-${number}`, "x"]));
      await driver.setLabels("s", own);
      await driver.forkSession("s", { id: "child", throughIndex: 4 });
      await driver.forkSession("child", { id: "grandchild", throughIndex: 2 });
      assert.deepEqual(await driver.getLabels("child"), { ...own, forkedFrom: "s", forkedThrough: "4" });
      assert.deepEqual(await driver.getLabels("grandchild"), { ...own, forkedFrom: "child", forkedThrough: "2" });
      await driver.setLabels("grandchild", { "label-0": "y" });
    });

    oursOnly("a session without a record cannot be forked", async (t) => {
      const driver = await ours(t);
      await driver.insertEvent("events", event("events", 1));
      await driver.setLabels("labels", { a: "b" });
      for (const id of ["unknown", "events", "labels"]) {
        await assert.rejects(driver.forkSession(id, { id: "new" }), {
          code: "ERR_PERSIST_NOT_FOUND",
          message: new RegExp(`^session "${id}" cannot be forked: it has no record`),
        });
      }
      assert.deepEqual(await contentsOf(driver, "new"), { record: undefined, labels: {}, events: [] });
    });

    oursOnly("an id under which anything is stored is refused, and nothing changes", async (t) => {
      const driver = await ours(t);
      await fill(driver, "s", 3);
      await driver.updateSession(record("record"));
      await driver.insertEvent("events", event("events", 1));
      await driver.setLabels("labels", { a: "b" });
      for (const [id, what] of [
        ["s", "there is a session with that id"],
        ["record", "there is a session with that id"],
        ["events", "there are events of a session with that id"],
        ["labels", "there are labels of a session with that id"],
      ] as const) {
        const before = await contentsOf(driver, id);
        await assert.rejects(driver.forkSession("s", { id }), {
          name: "TypeError",
          code: "ERR_PERSIST_INVALID_ARGUMENT",
          message: `session "s" cannot be forked to "${id}": ${what}; pass another id, or none`,
        });
        assert.deepEqual(await contentsOf(driver, id), before);
      }
    });

    oursOnly(
      "a fork has what was written before it without awaiting, and nothing of what was written after",
      async (t) => {
        const driver = await ours(t);
        const calls: Promise<unknown>[] = [driver.updateSession(record("s"))];
        const copies: Promise<{ id: string }>[] = [];
        for (let index = 1; index <= 60; index += 1) {
          calls.push(driver.insertEvent("s", event("s", index, {}, { id: `s-${index}` })));
          if (index % 20 > 0) continue;
          calls.push(driver.setLabels("s", { last: `${index}` }));
          copies.push(driver.forkSession("s", { id: `copy-${index}` }));
        }
        await Promise.all([...calls, ...copies]);
        for (const last of [20, 40, 60]) {
          const { events, labels } = await contentsOf(driver, `copy-${last}`);
          assert.deepEqual(indexes({ items: events }), range(1, last + 1));
          assert.deepEqual(labels, { last: `${last}`, forkedFrom: "s", forkedThrough: `${last}` });
        }
      },
    );

    oursOnly("the source and its fork go on by themselves", async (t) => {
      const driver = await ours(t);
      await fill(driver, "s", 2);
      await driver.forkSession("s", { id: "copy", throughIndex: 1 });
      await Promise.all([
        driver.insertEvent("s", event("s", 3, "of s", { id: "s-3" })),
        driver.insertEvent("copy", event("copy", 2, "of copy", { id: "copy-2" })),
        driver.updateSession(record("copy", { destroyedAt: 9 })),
        driver.setLabels("copy", { only: "copy" }),
      ]);
      const [source, copy] = [await contentsOf(driver, "s"), await contentsOf(driver, "copy")];
      assert.deepEqual(indexes({ items: source.events }), [1, 2, 3]);
      assert.deepEqual(indexes({ items: copy.events }), [1, 2]);
      assert.equal(copy.events[1]!.payload, "of copy");
      assert.equal(source.record?.destroyedAt, undefined);
      assert.deepEqual(source.labels, {});
      assert.deepEqual((await driver.listSessions()).items.map(({ id }) => id).sort(), ["copy", "s"]);
    });

    oursOnly("a session of some thousand events is copied whole", async (t) => {
      const driver = await ours(t);
      await fill(driver, "s", 4_001);
      const { id } = await driver.forkSession("s", { throughIndex: 4_000 });
      const [source, copy] = [await eventsOf(driver, "s"), await eventsOf(driver, id)];
      assert.deepEqual(
        copy,
        source.slice(0, 4_000).map((event, at) => ({ ...event, id: copy[at]!.id, sessionId: id })),
      );
      assert.equal(new Set(copy.map((event) => event.id)).size, 4_000);
    });
  });
}
