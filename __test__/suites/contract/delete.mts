/** Deleting sessions: all of one goes and nothing of others, and its id cannot be used again. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import type { OurDriver, Suite } from "./driver.mts";
import { event, record } from "./records.mts";

const NOT_FOUND = {
  code: "ERR_PERSIST_NOT_FOUND",
  message: /session "s" .* failed: the session was deleted, and its id cannot be used for 30 days after that/,
};

async function fill(driver: OurDriver, session: string): Promise<void> {
  await Promise.all([
    driver.updateSession(record(session)),
    driver.insertEvent(session, event(session, 1)),
    driver.insertEvent(session, event(session, 2)),
    driver.setLabels(session, { user: "u1" }),
  ]);
}

const contents = async (driver: OurDriver, session: string) => ({
  record: await driver.getSession(session),
  events: (await driver.listEvents({ sessionId: session })).items.map(({ eventIndex }) => eventIndex),
  labels: await driver.getLabels(session),
});

const NOTHING = { record: undefined, events: [], labels: {} };

export function deletions({ name, ours, oursOnly }: Suite): void {
  describe(`${name}: deleting`, () => {
    oursOnly("record, events and labels go, and other sessions keep theirs", async (t) => {
      const driver = await ours(t);
      for (const session of ["s", "other"]) await fill(driver, session);
      assert.equal(await driver.deleteSession("s"), true);
      assert.deepEqual(await contents(driver, "s"), NOTHING);
      assert.deepEqual(
        (await driver.listSessions()).items.map(({ id }) => id),
        ["other"],
      );
      assert.deepEqual(await contents(driver, "other"), {
        record: record("other"),
        events: [1, 2],
        labels: { user: "u1" },
      });
    });

    oursOnly("any part of a session is something to delete, and an unknown id is nothing", async (t) => {
      const driver = await ours(t);
      await driver.updateSession(record("of a record"));
      await driver.insertEvent("of events", event("of events", 1));
      await driver.setLabels("of labels", { user: "u1" });
      for (const session of ["of a record", "of events", "of labels"]) {
        assert.equal(await driver.deleteSession(session), true);
        assert.equal(await driver.deleteSession(session), false);
        assert.deepEqual(await contents(driver, session), NOTHING);
      }
      assert.equal(await driver.deleteSession("unknown"), false);
      assert.equal(await driver.deleteSession(""), false);
      assert.equal(await driver.deleteSession(`'; DROP TABLE events; --"`), false);
    });

    oursOnly("later writes to it are refused, each alone", async (t) => {
      const driver = await ours(t);
      await fill(driver, "s");
      await driver.deleteSession("s");
      const [insert, update, label, ...others] = await Promise.allSettled([
        driver.insertEvent("s", event("s", 3)),
        driver.updateSession(record("s")),
        driver.setLabels("s", { user: "u1" }),
        driver.insertEvent("other", event("other", 1)),
        driver.updateSession(record("other")),
        driver.setLabels("other", { user: "u2" }),
      ]);
      for (const refused of [insert, update, label]) {
        await assert.rejects(
          refused.status === "rejected" ? Promise.reject(refused.reason) : Promise.resolve(),
          NOT_FOUND,
        );
      }
      assert.deepEqual(
        others.map(({ status }) => status),
        ["fulfilled", "fulfilled", "fulfilled"],
      );
      assert.deepEqual(await contents(driver, "s"), NOTHING);
      assert.deepEqual((await contents(driver, "other")).events, [1]);
    });

    oursOnly("its followers end, once they have what was stored, and those of others go on", async (t) => {
      const driver = await ours(t);
      for (const session of ["s", "other"]) await fill(driver, session);
      const following = (session: string) => {
        const tail = driver.tailEvents({ sessionId: session });
        t.after(() => tail.return?.());
        return tail;
      };
      const [tail, idle, other] = [following("s"), following("s"), following("other")];
      for (const index of [1, 2]) {
        assert.equal((await tail.next()).value.eventIndex, index);
        await other.next();
      }
      await idle.next();
      const [end, next] = [tail.next(), other.next()];
      await driver.deleteSession("s");
      assert.deepEqual(await end, { done: true, value: undefined });
      await driver.insertEvent("other", event("other", 3));
      assert.equal((await next).value.eventIndex, 3);
      // What it holds already it still yields.
      for (let step = await idle.next(); !step.done; step = await idle.next()) assert.equal(step.value.eventIndex, 2);
    });

    oursOnly("it keeps its place among the writes of its session", async (t) => {
      const driver = await ours(t);
      const before = [1, 2, 3].map((index) => driver.insertEvent("s", event("s", index)));
      const early = driver.deleteSession("s");
      const after = [4, 5].map((index) => driver.insertEvent("s", event("s", index)));
      const late = driver.deleteSession("s");
      const refused = Promise.all(after.map((write) => assert.rejects(write, NOT_FOUND)));
      await Promise.all(before);
      assert.deepEqual([await early, await late], [true, false]);
      await refused;
      assert.deepEqual(await contents(driver, "s"), NOTHING);
    });

    oursOnly("a session of ten thousand events goes as a whole, and a scan of it ends", async (t) => {
      const driver = await ours(t);
      const indexes = Array.from({ length: 10_001 }, (_, number) => number + 1);
      await Promise.all(indexes.map((index) => driver.insertEvent("s", event("s", index))));
      await driver.insertEvent("other", event("other", 1));
      let page = await driver.listEvents({ sessionId: "s", limit: 10 });
      page = await driver.listEvents({ sessionId: "s", limit: 10, cursor: page.nextCursor });
      assert.equal(await driver.deleteSession("s"), true);
      page = await driver.listEvents({ sessionId: "s", limit: 10, cursor: page.nextCursor });
      assert.deepEqual(page, { items: [] });
      assert.deepEqual(await contents(driver, "s"), NOTHING);
      assert.deepEqual((await contents(driver, "other")).events, [1]);
    });
  });
}
