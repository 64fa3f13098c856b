/**
 * Caps where more than one driver counts, and where counting is cut short, as one suite for every driver of this package. What they
 * mean to one driver alone is in the contract.
 */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { range } from "./contract/records.mts";
import { start } from "../support/process.mts";
import type { Capped, Stored } from "../support/programs/write-capped.mts";
import { allEvents, eventAt, sessionOf } from "../support/records.mts";
import { openPersist, type Persist, type Storage } from "../support/storage.mts";

const CAP = 100;

export const indexesOf = async (driver: Persist, session: string) =>
  (await allEvents(driver, session, 5_000)).map(({ eventIndex }) => eventIndex);

/** Stores events at these indexes. */
export async function store(driver: Persist, session: string, indexes: number[]): Promise<void> {
  await Promise.all(indexes.map((index) => driver.insertEvent(session, eventAt(session, index))));
}

async function writer(t: TestContext, capped: Capped) {
  const child = start(t, "write-capped.mts");
  assert.equal(await child.next(), "loaded");
  child.send(capped);
  return child;
}

/** Registers the suite for stores that `newStorage` makes. */
export function caps(name: string, newStorage: (t: TestContext) => Storage): void {
  describe(`${name}: caps of several drivers`, () => {
    test("the newest events of a session stay, and never fewer than its cap, whoever else writes to it", async (t) => {
      const storage = newStorage(t);
      await using reader = openPersist(storage);
      await store(reader, "shared", range(1, CAP + 1));
      const keeping = { maxEventsPerSession: CAP };
      const children = await Promise.all(
        [1, 2, 3].map((number) =>
          writer(t, { storage, caps: keeping, sessions: ["shared", `own-${number}`], name: `w${number}`, count: 200 }),
        ),
      );
      let written = CAP;
      const ends = children.map(async (child) => {
        for (;;) {
          const message = await child.next<Stored | "done">();
          if (message === "done") return;
          if (message[0] === "shared") written += 1;
        }
      });
      let done = false;
      const all = Promise.all(ends).finally(() => (done = true));
      while (!done) {
        const indexes = await indexesOf(reader, "shared");
        assert.ok(indexes.length >= CAP, `${indexes.length} events`);
      }
      await all;
      assert.equal(written, CAP + 600);
      assert.deepEqual(await indexesOf(reader, "shared"), range(written - CAP + 1, written + 1));
      for (const number of [1, 2, 3]) assert.deepEqual(await indexesOf(reader, `own-${number}`), range(101, 201));
    });

    test("a session that is far over a new cap is brought down to it while others are written", async (t) => {
      const storage = newStorage(t);
      {
        await using driver = openPersist(storage);
        await store(driver, "far", range(1, 12_001));
        await store(driver, "untouched", range(1, CAP + 11));
      }
      {
        await using driver = openPersist(storage, { maxEventsPerSession: CAP });
        await driver.insertEvent("far", eventAt("far", 12_001));
        for (const index of range(1, 31)) await driver.insertEvent("other", eventAt("other", index));
        while ((await indexesOf(driver, "far")).length > CAP);
        assert.deepEqual(await indexesOf(driver, "far"), range(12_002 - CAP, 12_002));
        assert.deepEqual(await indexesOf(driver, "other"), range(1, 31));
        // Nobody has written to it.
        assert.deepEqual(await indexesOf(driver, "untouched"), range(1, CAP + 11));
      }
    });

    test("sessions far over a new cap go, the oldest first, by two drivers at once", async (t) => {
      const storage = newStorage(t);
      const id = (number: number) => `s-${String(number).padStart(3, "0")}`;
      {
        await using driver = openPersist(storage);
        for (const number of range(0, 250)) {
          void driver.insertEvent(id(number), eventAt(id(number), 1));
          void driver.setLabels(id(number), { number: String(number) });
          void driver.updateSession(sessionOf(id(number), { createdAt: number }));
        }
        await store(driver, id(0), range(2, 7_000));
      }
      const drivers = [1, 2].map(() => openPersist(storage, { maxSessions: 10 }));
      await Promise.all(
        drivers.map((driver, at) => driver.updateSession(sessionOf(id(250 + at), { createdAt: 250 + at }))),
      );
      const left = async () => (await drivers[0].listSessions({ limit: 300 })).items.map((record) => record.id);
      while ((await left()).length > 10) assert.ok((await left()).includes(id(242)));
      assert.deepEqual(await left(), range(242, 252).map(id));
      await Promise.all(drivers.map((driver) => driver.close()));
      await using driver = openPersist(storage);
      for (const number of [0, 1, 241]) {
        assert.deepEqual([await indexesOf(driver, id(number)), await driver.getLabels(id(number))], [[], {}]);
      }
      assert.deepEqual([await indexesOf(driver, id(242)), await driver.getLabels(id(242))], [[1], { number: "242" }]);
    });

    test("what is killed while it removes goes on when it is opened again, and nothing newer is missing", async (t) => {
      const storage = newStorage(t);
      const sessions = ["a", "b", "c", "d"];
      const stored = new Map<string, number>();
      const keeping = { maxEventsPerSession: CAP };
      for (let round = 0; round < 4; round += 1) {
        const child = await writer(t, { storage, caps: keeping, sessions, name: `round-${round}`, count: 1_000_000 });
        for (let told = 0; told < 500 + 97 * round; told += 1) {
          const [session, index] = await child.next<Stored>();
          stored.set(session, index);
        }
        child.kill("SIGKILL");
        await child.ended;
        for (const [session, index] of child.rest<Stored>()) stored.set(session, index);
        await using driver = openPersist(storage);
        for (const [session, highest] of stored) {
          const indexes = await indexesOf(driver, session);
          const last = indexes.at(-1)!;
          assert.ok(last >= highest, `${session} ends with ${last}, told was ${highest}`);
          assert.ok(indexes.length >= Math.min(CAP, last), `${indexes.length} events of ${session}`);
          assert.deepEqual(indexes, range(last - indexes.length + 1, last + 1));
        }
      }
      {
        await using driver = openPersist(storage, keeping);
        for (const session of sessions) {
          const next = (await indexesOf(driver, session)).at(-1)! + 1;
          await driver.insertEvent(session, eventAt(session, next, { id: "last" }));
        }
      }
      await using driver = openPersist(storage);
      for (const session of sessions) assert.equal((await indexesOf(driver, session)).length, CAP);
    });
  });
}
