/** What a driver tells of itself: numbers that add up with the calls that were made, and messages on channels. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import type { Histogram } from "../../../index.js";
import { listen } from "../../support/notices.mts";
import type { Suite } from "./driver.mts";
import { event, record } from "./records.mts";

function addsUp(histogram: Histogram, count: number): void {
  const { bounds, counts, sum, max, p50, p90, p99 } = histogram;
  assert.equal(histogram.count, count);
  assert.equal(counts.length, bounds.length + 1);
  assert.equal(
    counts.reduce((all, one) => all + one),
    count,
  );
  assert.ok(bounds.every((bound, number) => number === 0 || bound > bounds[number - 1]!));
  assert.ok(0 <= p50 && p50 <= p90 && p90 <= p99 && p99 <= max && max <= sum && sum <= max * count);
  // The largest value is in the last bucket that has any.
  const last = counts.findLastIndex((one) => one > 0);
  assert.ok(max <= (bounds[last] ?? Infinity) && max > (bounds[last - 1] ?? 0));
}

export function statistics({ name, ours, oursOnly, remove }: Suite): void {
  describe(`${name}: statistics`, () => {
    oursOnly("the histograms add up with the calls, whatever came of them", async (t) => {
      const driver = await ours(t);
      await driver.ready();
      const before = await driver.stats();
      assert.ok(Math.abs(before.since - Date.now()) < 60_000);
      await Promise.all(Array.from({ length: 300 }, (_, index) => driver.insertEvent("s", event("s", index + 1))));
      for (let index = 301; index <= 310; index += 1) await driver.insertEvent("s", event("s", index));
      await driver.updateSession(record("s"));
      await driver.setLabels("s", { user: "u1" });
      await driver.forkSession("s", { id: "copy" });
      await driver.deleteSession("s");
      await assert.rejects(driver.insertEvent("s", event("s", 1)), { code: "ERR_PERSIST_NOT_FOUND" });
      await Promise.all([driver.getSession("copy"), driver.getLabels("copy"), driver.listSessions()]);
      for (let page = 0; page < 4; page += 1) await driver.listEvents({ sessionId: "copy", limit: 10 });
      // Wrong arguments are no calls of the store.
      await assert.rejects(driver.getSession(5 as unknown as string), TypeError);

      const stats = await driver.stats();
      addsUp(stats.writeDurationMs, 315);
      addsUp(stats.readDurationMs, 7);
      addsUp(stats.batches.writes, stats.batches.durationMs.count);
      addsUp(stats.batches.durationMs, stats.batches.writes.count);
      assert.equal(stats.batches.writes.sum, 314);
      assert.ok(stats.batches.writes.max > 1 && stats.batches.writes.max <= 300);
      const texts = Array.from({ length: 310 }, (_, index) => JSON.stringify(event("s", index + 1)).length);
      const bytes = texts.reduce((all, one) => all + one) + JSON.stringify(record("s")).length;
      assert.ok(stats.batches.bytes >= bytes && stats.batches.bytes < bytes + 100, `${stats.batches.bytes} ${bytes}`);
      const { failed, reassigned, retries, reconnects, warnings, queue } = stats;
      assert.deepEqual(
        { failed, reassigned, retries, reconnects, warnings, queue },
        { failed: 1, reassigned: 0, retries: 0, reconnects: 0, warnings: 0, queue: { calls: 0, bytes: 0 } },
      );
      const { connecting, busy, idle, waiting } = stats.connections;
      assert.deepEqual({ connecting, busy, waiting }, { connecting: 0, busy: 0, waiting: 0 });
      assert.ok(idle >= 2);
      // Asking changes nothing.
      assert.deepEqual({ ...(await driver.stats()), connections: 0 }, { ...stats, connections: 0 });
    });

    oursOnly("few rows are counted exactly, as they come and go", async (t) => {
      const driver = await ours(t);
      const count = async () => {
        const { database } = await driver.stats();
        assert.ok(database && database.dataBytes > 0);
        return { sessions: database.sessions, events: database.events, counts: database.counts };
      };
      assert.deepEqual(await count(), { sessions: 0, events: 0, counts: "exact" });
      await Promise.all([
        ...["s", "other"].map((session) => driver.updateSession(record(session))),
        ...Array.from({ length: 20 }, (_, index) => driver.insertEvent("s", event("s", index + 1))),
        driver.insertEvent("other", event("other", 1)),
      ]);
      assert.deepEqual(await count(), { sessions: 2, events: 21, counts: "exact" });
      if (remove) {
        await remove(driver, { session: "other", eventIndex: 1 });
        assert.deepEqual(await count(), { sessions: 2, events: 20, counts: "exact" });
      }
      await driver.deleteSession("s");
      assert.deepEqual(await count(), { sessions: 1, events: remove ? 0 : 1, counts: "exact" });
    });

    oursOnly("each batch, each event with another index and each slow call is told to those who listen", async (t) => {
      const driver = await ours(t, { slowMs: 0 });
      await driver.insertEvent("s", event("s", 1, {}, { id: "unheard" }));
      const { told, of } = listen(t, "commit", "reassigned", "slow", "warning", "retry", "reconnected");
      const moved = event("s", 1, {}, { id: "moved" });
      await Promise.all([driver.insertEvent("s", moved), driver.updateSession(record("s"))]);
      await driver.listSessions();
      // The last batch may be told after the promises of its writes.
      await driver.stats();
      assert.deepEqual(
        of("reassigned").map(({ sessionId, eventIndex }) => ({ sessionId, eventIndex })),
        [{ sessionId: "s", eventIndex: moved.eventIndex }],
      );
      assert.equal(
        of("commit").reduce((all, { writes }) => all + writes, 0),
        2,
      );
      assert.ok(of("commit").every(({ bytes, durationMs }) => bytes > 0 && durationMs > 0));
      assert.deepEqual(
        of("slow")
          .map(({ operation, sessionId }) => `${operation} ${sessionId}`)
          .sort(),
        ["insertEvent s", "listSessions undefined", "updateSession s"],
      );
      assert.equal(told.length, of("commit").length + 4, "nothing else happened");
      assert.equal((await driver.stats()).reassigned, 1);
    });

    oursOnly("a closed driver has none", async (t) => {
      const driver = await ours(t);
      await driver.close();
      await assert.rejects(driver.stats(), { code: "ERR_PERSIST_CLOSED" });
    });
  });
}
