/** Pruning: which sessions go and what of them, what stays, and what is counted. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { countOf, fill, NOTHING } from "../../support/deletion.mts";
import { allEvents, eventAt, sessionOf } from "../../support/records.mts";
import type { OurDriver, Suite } from "./driver.mts";

/** When the events of these tests begin: before it nothing is created. */
const BEGAN = 1_700_000_000_000;

const ids = async (driver: OurDriver) => (await driver.listSessions({})).items.map(({ id }) => id);

/** Stores a session that was created, destroyed and written to at these times. */
async function store(
  driver: OurDriver,
  id: string,
  { created = BEGAN, destroyed, events = [] }: { created?: number; destroyed?: number; events?: number[] },
): Promise<void> {
  await Promise.all([
    driver.updateSession(sessionOf(id, { createdAt: created, destroyedAt: destroyed })),
    ...events.map((createdAt, index) => driver.insertEvent(id, eventAt(id, index + 1, { createdAt }))),
  ]);
}

export function prunes({ name, oursOnly, ours }: Suite): void {
  describe(`${name}: pruning`, () => {
    oursOnly("sessions that were destroyed before a time go, with their events and labels", async (t) => {
      const driver = await ours(t);
      await Promise.all(["old", "new", "alive"].map((id) => fill(driver, id)));
      await driver.updateSession(sessionOf("old", { destroyedAt: BEGAN + 99 }));
      await driver.updateSession(sessionOf("new", { destroyedAt: BEGAN + 100 }));
      const bytes = (await allEvents(driver, "old")).reduce(
        (sum, { payload }) => sum + JSON.stringify(payload).length,
        0,
      );
      const result = await driver.pruneSessions({ destroyedBefore: BEGAN + 100 });
      assert.equal(result.sessions, 1);
      assert.equal(result.events, 3);
      assert.ok(result.bytes >= bytes, `${result.bytes} of ${bytes}`);
      assert.deepEqual(await countOf(driver, "old"), NOTHING);
      for (const id of ["new", "alive"])
        assert.deepEqual(await countOf(driver, id), { records: 1, events: 3, labels: 1 });
    });

    oursOnly("a session is idle by its newest event, and by its record when it has none", async (t) => {
      const driver = await ours(t);
      await store(driver, "idle", { events: [BEGAN, BEGAN + 9] });
      await store(driver, "just-active", { events: [BEGAN, BEGAN + 10] });
      // The newest event is the one with the highest index, whatever its time.
      await store(driver, "out-of-order", { events: [BEGAN + 50, BEGAN + 5] });
      await store(driver, "empty", { created: BEGAN + 9 });
      await store(driver, "young", { created: BEGAN + 10 });
      await driver.insertEvent("no-record", eventAt("no-record", 1, { createdAt: BEGAN }));
      assert.deepEqual(await driver.pruneSessions({ idleBefore: BEGAN + 10 }).then(({ sessions }) => sessions), 3);
      assert.deepEqual(await ids(driver), ["just-active", "young"]);
      assert.equal((await allEvents(driver, "no-record")).length, 1);
    });

    oursOnly("a session goes only if it meets all conditions", async (t) => {
      const driver = await ours(t);
      const events = [BEGAN];
      await store(driver, "all", { destroyed: BEGAN, events });
      await store(driver, "active", { destroyed: BEGAN, events: [BEGAN + 10] });
      await store(driver, "alive", { events });
      await store(driver, "other-label", { destroyed: BEGAN, events });
      await store(driver, "one-label", { destroyed: BEGAN, events });
      for (const id of ["all", "active", "alive"]) await driver.setLabels(id, { tenant: "acme", stage: "test" });
      await driver.setLabels("other-label", { tenant: "acme", stage: "live" });
      await driver.setLabels("one-label", { tenant: "acme" });
      const labels = { tenant: "acme", stage: "test" };
      const conditions = { destroyedBefore: BEGAN + 1, idleBefore: BEGAN + 1, labels };
      assert.equal((await driver.pruneSessions(conditions)).sessions, 1);
      assert.deepEqual(await ids(driver), ["active", "alive", "one-label", "other-label"]);
      assert.equal((await driver.pruneSessions({ labels })).sessions, 2);
      assert.deepEqual(await ids(driver), ["one-label", "other-label"]);
    });

    oursOnly("keepLastEvents keeps a session, its labels and its newest events", async (t) => {
      const driver = await ours(t);
      await fill(driver, "long", 700);
      await fill(driver, "short", 5);
      await fill(driver, "empty", 0);
      const request = { labels: { user: "u1" }, keepLastEvents: 5 };
      const counted = await driver.pruneSessions({ ...request, dryRun: true });
      const result = await driver.pruneSessions(request);
      assert.deepEqual({ ...result, bytes: 0 }, { sessions: 1, events: 695, bytes: 0 });
      assert.deepEqual(counted, result);
      const left = await allEvents(driver, "long");
      assert.deepEqual(
        left.map(({ eventIndex }) => eventIndex),
        [696, 697, 698, 699, 700],
      );
      assert.deepEqual(await countOf(driver, "long"), { records: 1, events: 5, labels: 1 });
      assert.deepEqual(await countOf(driver, "short"), { records: 1, events: 5, labels: 1 });
      assert.deepEqual(await driver.pruneSessions(request), { sessions: 0, events: 0, bytes: 0 });
      // The session goes on from its highest index.
      await driver.insertEvent("long", eventAt("long", 701));
      assert.equal((await driver.pruneSessions({ ...request, keepLastEvents: 1 })).events, 5 + 4);
    });

    oursOnly("dryRun counts what would go, and removes nothing", async (t) => {
      const driver = await ours(t);
      for (const [id, events] of [
        ["a", 6_000],
        ["b", 1],
        ["c", 0],
      ] as const)
        await fill(driver, id, events);
      const request = { idleBefore: BEGAN + 1_000_000 };
      const counted = await driver.pruneSessions({ ...request, dryRun: true });
      assert.deepEqual({ ...counted, bytes: 0 }, { sessions: 3, events: 6_001, bytes: 0 });
      assert.deepEqual(await countOf(driver, "a"), { records: 1, events: 6_000, labels: 1 });
      assert.deepEqual(await driver.pruneSessions(request), counted);
      for (const id of ["a", "b", "c"]) assert.deepEqual(await countOf(driver, id), NOTHING);
    });

    oursOnly("the id of a pruned session can be used again", async (t) => {
      const driver = await ours(t);
      await fill(driver, "s", 3);
      await driver.pruneSessions({ labels: { user: "u1" } });
      await driver.updateSession(sessionOf("s"));
      await driver.insertEvent("s", eventAt("s", 1));
      assert.deepEqual(await countOf(driver, "s"), { records: 1, events: 1, labels: 0 });
    });

    oursOnly("writers and followers beside it lose nothing, and see everything in order", async (t) => {
      const driver = await ours(t);
      await fill(driver, "idle", 4_000);
      const sessions = ["a", "b", "c", "d"];
      for (const id of sessions) await driver.updateSession(sessionOf(id));
      let isOver = false;
      const written = new Map<string, number>();
      const writers = sessions.map(async (id) => {
        let index = 0;
        do {
          await driver.insertEvent(id, eventAt(id, (index += 1)));
          written.set(id, index);
        } while (!isOver || index < 20);
      });
      const pruned = driver.pruneSessions({ labels: { user: "u1" } }).finally(() => (isOver = true));
      const followers = sessions.map(async (id) => {
        let last = 0;
        for await (const { eventIndex } of driver.tailEvents({ sessionId: id })) {
          assert.equal(eventIndex, last + 1);
          last = eventIndex;
          if (isOver && last >= (written.get(id) ?? 0)) return last;
        }
      });
      assert.deepEqual({ ...(await pruned), bytes: 0 }, { sessions: 1, events: 4_000, bytes: 0 });
      await Promise.all(writers);
      // One more each, for a follower that has seen all there was before it was over.
      await Promise.all(sessions.map((id) => driver.insertEvent(id, eventAt(id, written.get(id)! + 1))));
      await Promise.all(followers);
      for (const id of sessions) assert.equal((await allEvents(driver, id)).length, written.get(id)! + 1);
      assert.deepEqual(await countOf(driver, "idle"), NOTHING);
    });
  });
}
