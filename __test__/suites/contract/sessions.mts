/** Sessions: what a record comes back as, and the order that a list of them has. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionRecord } from "sandbox-agent";
import type { Suite } from "./driver.mts";
import { FULL, MAX, present, record, scan } from "./records.mts";

export function sessions({ name, fresh, oursOnly }: Suite): void {
  describe(`${name}: sessions`, () => {
    test("getSession of an unknown id resolves to undefined", async (t) => {
      const driver = await fresh(t);
      assert.equal(await driver.getSession("nobody"), undefined);
    });

    test("a record comes back with every field it had", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession(FULL);
      assert.deepEqual(present(await driver.getSession("full")), FULL);
      assert.deepEqual(present(await driver.listSessions()), { items: [FULL] });
    });

    test("fields that a record does not have are absent, not null", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession(record("bare"));
      assert.deepEqual(present(await driver.getSession("bare")), record("bare"));
    });

    test("a replaced record loses the fields that are undefined in the new one", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession({ ...FULL, fromNewerSdk: 1 } as SessionRecord);
      await driver.updateSession({
        ...record("full", { agent: "second", createdAt: 9 }),
        destroyedAt: undefined,
        sandboxId: undefined,
        sessionInit: undefined,
        configOptions: undefined,
        modes: undefined,
      });
      const expected = record("full", { agent: "second", createdAt: 9 });
      assert.deepEqual(present(await driver.getSession("full")), expected);
      assert.deepEqual(present((await driver.listSessions()).items), [expected]);
    });

    test("modes that are null stay null, and absent modes stay absent", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession(record("null", { modes: null }));
      await driver.updateSession(record("absent"));
      assert.equal((await driver.getSession("null"))?.modes, null);
      assert.equal((await driver.getSession("absent"))?.modes, undefined);
      await driver.updateSession(record("null"));
      assert.equal((await driver.getSession("null"))?.modes, undefined);
    });

    test("fields that this release does not know are kept", async (t) => {
      const driver = await fresh(t);
      const newer = { ...FULL, fromNewerSdk: { deep: [1, null, "\u0000"] }, zero: 0, no: false, "": "empty name" };
      await driver.updateSession(newer);
      assert.deepEqual(present(await driver.getSession("full")), newer);
    });

    test("a later change of the caller's record does not leak in", async (t) => {
      const driver = await fresh(t);
      const mine = record("mine", { agent: "before" });
      const stored = driver.updateSession(mine);
      mine.agent = "after";
      await stored;
      const read = await driver.getSession("mine");
      assert.equal(read?.agent, "before");
      read.agent = "after";
      assert.equal((await driver.getSession("mine"))?.agent, "before");
    });

    oursOnly("a later change deep inside the caller's record does not leak in", async (t) => {
      const driver = await fresh(t);
      const mine = structuredClone(FULL);
      const stored = driver.updateSession(mine);
      mine.sessionInit!.cwd = "/elsewhere";
      mine.modes!.availableModes.length = 0;
      await stored;
      assert.deepEqual(present(await driver.getSession("full")), FULL);
    });

    oursOnly("destroyedAt and sandboxId that are null come back absent", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession({ ...record("s"), destroyedAt: null, sandboxId: null } as never);
      assert.deepEqual(await driver.getSession("s"), record("s"));
    });

    test("sessions come in order of createdAt, then id, however they were inserted", async (t) => {
      const driver = await fresh(t);
      const places: [number, string][] = [[5, "a"], [3, "b"], [3, "a"], [-1, "z"], [0, "m"], [3, "c"], [MAX, "a2"]]; // prettier-ignore
      for (const [createdAt, id] of places) await driver.updateSession(record(`${id}${createdAt}`, { createdAt }));
      const ids = (await driver.listSessions()).items.map(({ id }) => id);
      assert.deepEqual(ids, ["z-1", "m0", "a3", "b3", "c3", "a5", `a2${MAX}`]);
    });

    oursOnly("sessions of one time come in order of the code points of their ids", async (t) => {
      const driver = await fresh(t);
      const inOrder = ["", "10", "9", "A", "B", "a", "a b", "ab", "é", "\uffff", "😀"];
      for (const id of inOrder.toReversed()) await driver.updateSession(record(id));
      assert.deepEqual(
        (await scan(({ cursor }) => driver.listSessions({ cursor, limit: 3 }))).map(({ id }) => id),
        inOrder,
      );
    });

    test("a session whose createdAt changes moves in the list", async (t) => {
      const driver = await fresh(t);
      for (const id of ["a", "b", "c"]) await driver.updateSession(record(id));
      await driver.updateSession(record("a", { createdAt: 2_000_000_000_000 }));
      assert.deepEqual(
        (await driver.listSessions()).items.map(({ id }) => id),
        ["b", "c", "a"],
      );
    });
  });
}
