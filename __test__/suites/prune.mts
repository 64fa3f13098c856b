/** Pruning that is disturbed: by a session that comes to life, by a signal, and by SIGKILL. Runs for both drivers. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { countOf, type Driver, fill, NOTHING } from "../support/deletion.mts";
import { start } from "../support/process.mts";
import { allEvents, eventAt, sessionOf } from "../support/records.mts";
import { slowDown } from "../support/slow.mts";
import type { SharedStore } from "../support/storage.mts";

/** When the events of these tests begin: before it nothing is created. */
const BEGAN = 1_700_000_000_000;

/** How many events a session has that takes several steps. */
const LARGE = 4_000;

/** A driver on a new store, and that store for others. */
export type Open = (t: TestContext) => Promise<{ driver: Driver } & SharedStore>;

export function disturbedPruning(name: string, open: Open): void {
  test(`${name}: a session that becomes active in the middle keeps what it has left, and its record`, async (t) => {
    const { driver, ...store } = await open(t);
    // Sessions come in the order of their times: the large one is under way while the small one waits.
    await fill(driver, "large", LARGE);
    await driver.updateSession(sessionOf("later", { createdAt: BEGAN + 1 }));
    await driver.insertEvent("later", eventAt("later", 1, { createdAt: BEGAN }));
    const undo = await slowDown(store, "DELETE");
    const now = BEGAN + 1_000_000;
    const active: Promise<void>[] = [];
    const onProgress = ({ sessions }: { sessions: number }) => {
      if (active.length > 0) return;
      assert.equal(sessions, 0);
      for (const [id, index] of [
        ["large", LARGE + 1],
        ["later", 2],
      ] as const)
        active.push(driver.insertEvent(id, eventAt(id, index, { createdAt: now })));
    };
    const result = await driver.pruneSessions({ idleBefore: now, onProgress });
    await Promise.all(active);
    await undo();
    assert.equal(active.length, 2);
    assert.equal(result.sessions, 0);
    const left = await allEvents(driver, "large", 10_000);
    assert.ok(result.events > 0 && result.events < LARGE);
    assert.deepEqual(
      left.map(({ eventIndex }) => eventIndex),
      Array.from({ length: LARGE + 1 - result.events }, (_, number) => result.events + number + 1),
    );
    assert.deepEqual(await countOf(driver, "large"), { records: 1, events: left.length, labels: 1 });
    assert.deepEqual(await countOf(driver, "later"), { records: 1, events: 2, labels: 0 });
  });

  test(`${name}: a signal ends it after a step; another call goes on`, async (t) => {
    const { driver, ...store } = await open(t);
    await fill(driver, "large", LARGE);
    const undo = await slowDown(store, "DELETE");
    const reason = new Error("enough");
    const stop = new AbortController();
    let told = { sessions: 0, events: 0, bytes: 0 };
    const onProgress = (progress: typeof told) => {
      told = progress;
      stop.abort(reason);
    };
    const request = { idleBefore: BEGAN + 1_000_000 };
    await assert.rejects(driver.pruneSessions({ ...request, signal: stop.signal, onProgress }), {
      name: "AbortError",
      cause: reason,
    });
    // The step that was under way may still be.
    await driver.setLabels("large", { after: "it" });
    await undo();
    const left = await allEvents(driver, "large", 10_000);
    assert.ok(left.length > 0 && left.length <= LARGE - told.events, `${left.length} after ${told.events}`);
    assert.equal(left.at(-1)!.eventIndex, LARGE);
    assert.equal(left[0].eventIndex, LARGE + 1 - left.length);
    const rest = await driver.pruneSessions(request);
    assert.deepEqual({ ...rest, bytes: 0 }, { sessions: 1, events: left.length, bytes: 0 });
    await assert.rejects(driver.pruneSessions({ ...request, signal: stop.signal }), { name: "AbortError" });
  });

  test(`${name}: a process that is killed while it prunes leaves whole steps, 20 times over, and another call goes on`, async (t) => {
    const { driver, ...store } = await open(t);
    const sessions = ["large-1", "large-2", ...Array.from({ length: 120 }, (_, number) => `small-${number}`)];
    await Promise.all(sessions.map((id) => fill(driver, id, sizeOf(id))));
    await fill(driver, "kept", 10);
    await driver.setLabels("kept", { user: "u2" });
    const request = { labels: { user: "u1" } };
    // The first round ends in the middle on whatever machine.
    const undo = await slowDown(store, "DELETE");
    let next = start(t, "prune-until-killed.mjs");
    let isDone = false;
    for (let round = 0; round < 20 && !isDone; round += 1) {
      const pruner = next;
      // The next one loads while this one prunes.
      next = start(t, "prune-until-killed.mjs");
      assert.equal(await pruner.next(), "loaded");
      pruner.send({ options: store.storage.options, request });
      await pruner.next();
      pruner.kill("SIGKILL");
      await pruner.ended;
      isDone = pruner.rest().includes("done");
      await checkWholeSteps(driver, sessions);
      if (round > 0) continue;
      assert.equal(isDone, false);
      await undo();
    }
    await driver.pruneSessions(request);
    for (const id of sessions) assert.deepEqual(await countOf(driver, id), NOTHING);
    assert.deepEqual(await countOf(driver, "kept"), { records: 1, events: 10, labels: 1 });
  });
}

/** How many events a session of the test with kills has. */
const sizeOf = (id: string) => (id.startsWith("large") ? 8_000 : 3);

/** Each session has its record, its labels and its newest events, or nothing is left of it. */
async function checkWholeSteps(driver: Driver, sessions: string[]): Promise<void> {
  const checks = sessions.map(async (id) => {
    const { items } = await driver.listEvents({ sessionId: id, limit: 10_000 });
    const record = await driver.getSession(id);
    const labels = await driver.getLabels(id);
    if (!record) return assert.deepEqual({ items, labels }, { items: [], labels: {} }, id);
    assert.deepEqual(labels, { user: "u1" }, id);
    const left = items.map(({ eventIndex }) => eventIndex);
    assert.ok(left.length > 0, id);
    assert.deepEqual(
      left,
      left.map((_, number) => sizeOf(id) - left.length + 1 + number),
      id,
    );
  });
  await Promise.all(checks);
}
