/** The suite of conformance itself: it passes a driver that is right, and each of its cases catches one that is wrong. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { SessionPersistDriver } from "sandbox-agent";

import { testSessionPersistDriver, type OpenDriver } from "../conformance.js";
import { BROKEN } from "./support/conformance/broken.mts";
import { casesOf, outcomesOf } from "./support/conformance/outcomes.mts";
import { newStore, reference, type Stored } from "./support/conformance/reference.mts";

/** Opens what `driver` makes of a store, which is one for all that are opened under its name. */
function opener(driver: (stored: Stored) => ReturnType<typeof reference>): OpenDriver {
  const stores = new Map<string, Stored>();
  return (name) => {
    if (!stores.has(name)) stores.set(name, newStore());
    return driver(stores.get(name)!);
  };
}

testSessionPersistDriver(opener(reference), { name: "a driver that is right" });

describe("a driver fails that", () => {
  for (const [name, broken, cases] of BROKEN) {
    test(name, async () => {
      const open = opener((stored) => ({ ...reference(stored), ...broken(reference(stored), stored) }));
      for (const words of cases) {
        const outcomes = await outcomesOf(casesOf(open).filter(({ promise }) => promise.includes(words)));
        assert.equal(outcomes.length, 1, `"${words}" are words of one case`);
        assert.ok(outcomes[0]!.error, `it passes: ${outcomes[0]!.promise}`);
      }
    });
  }

  test("breaks any promise: there is one here for each case", () => {
    const words = BROKEN.flatMap(([, , cases]) => cases);
    const promises = casesOf(opener(reference)).map(({ promise }) => promise);
    assert.deepEqual(
      promises.filter((promise) => !words.some((each) => promise.includes(each))),
      [],
    );
    assert.equal(new Set(promises).size, promises.length, "no two cases have one name");
  });
});

describe("the suite", () => {
  test("shows the cases of groups that are left out as skipped", () => {
    const skipped: string[] = [];
    const ran: string[] = [];
    let group = "";
    testSessionPersistDriver(opener(reference), {
      skip: ["durable", "exact JSON"],
      describe: (title, register) => {
        group = title;
        register();
      },
      test: Object.assign(() => ran.push(group), { skip: () => skipped.push(group) }),
    });
    const groups = ["session persist driver: durable", "session persist driver: exact JSON"];
    assert.deepEqual([...new Set(skipped)], groups);
    assert.ok(ran.length > 0 && groups.every((each) => !ran.includes(each)));
  });

  test("refuses a group that there is not", () => {
    const skip = ["durabel"] as never;
    assert.throws(() => testSessionPersistDriver(opener(reference), { skip }), {
      name: "TypeError",
      message: /^skip names "durabel": the groups are "durable", "several writers", /,
    });
  });

  test("closes every driver after its case, and removes the store then, whether the case passes or not", async () => {
    for (const right of [true, false]) {
      const open = new Map<string, number>();
      const removed: string[] = [];
      const broken = { listEvents: reject, listSessions: reject };
      const stores = opener((stored) => ({ ...reference(stored), ...(!right && broken) }));
      const driver = async (store: string) => {
        open.set(store, (open.get(store) ?? 0) + 1);
        return {
          driver: (await stores(store)) as SessionPersistDriver,
          close: () => open.set(store, open.get(store)! - 1),
        };
      };
      const remove = (store: string) => {
        assert.equal(open.get(store), 0, "its drivers are closed");
        removed.push(store);
      };
      const cases = casesOf(driver, { remove }).filter(({ promise }) => /two drivers|goes on where/.test(promise));
      const outcomes = await outcomesOf(cases);
      assert.deepEqual(
        outcomes.map(({ error }) => error === undefined),
        Array.from(outcomes, () => right),
      );
      assert.deepEqual(removed, [...open.keys()]);
      for (const store of removed) assert.match(store, /^[a-z][a-z0-9_]{0,39}$/);
    }
  });
});

describe("what is no driver, or does not answer, is told so:", () => {
  const [first] = casesOf(opener(reference));
  const outcomeOf = async (...args: Parameters<typeof casesOf>) => {
    const cases = casesOf(...args).filter(({ promise }) => promise === first!.promise);
    return (await outcomesOf(cases))[0]!.error as Error;
  };

  test("what opens gives no driver", async () => {
    for (const opened of [undefined, null, "driver", {}, { driver: undefined }]) {
      const error = await outcomeOf(() => opened as never);
      assert.match(
        error.message,
        /^what opens a driver must give a driver, or an object with the fields driver and close$/,
      );
    }
  });

  test("it never answers: its case fails, and it is closed", async () => {
    let closed = 0;
    const silent = () => new Promise<never>(() => {});
    const mute = { ...reference(newStore()), getSession: silent };
    const error = await outcomeOf(() => ({ ...mute, close: () => (closed += 1) }) as never, { timeoutMs: 50 });
    assert.match(error.message, /^the driver has not answered within 50 ms$/);
    assert.equal(closed, 1);
  });

  test("it cannot be closed: the others are, and the store is removed", async () => {
    const removed: string[] = [];
    let closed = 0;
    const open = opener(reference);
    const driver = async (store: string) => ({
      driver: (await open(store)) as SessionPersistDriver,
      close: () => {
        if ((closed += 1) === 1) throw new Error("it is stuck");
      },
    });
    const several = casesOf(driver, { remove: (store) => removed.push(store) });
    const cases = several.filter(({ promise }) => promise.startsWith("drivers that write to sessions of their own"));
    const [outcome] = await outcomesOf(cases);
    assert.equal((outcome!.error as Error).message, "it is stuck");
    assert.ok(closed > 1);
    assert.equal(removed.length, 1);
  });
});

async function reject(): Promise<never> {
  throw new Error("it is broken");
}
