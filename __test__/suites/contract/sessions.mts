/** Sessions: the ends of what their fields can be, and the order of a list of them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Suite } from "./driver.mts";
import { MAX, present, record, scan } from "./records.mts";

export function sessions({ name, fresh, oursOnly }: Suite): void {
  describe(`${name}: sessions`, () => {
    test("sessions come in order of times before and far after 1970", async (t) => {
      const driver = await fresh(t);
      for (const createdAt of [5, MAX, -1, 0]) await driver.updateSession(record(`at ${createdAt}`, { createdAt }));
      const times = (await driver.listSessions()).items.map(({ createdAt }) => createdAt);
      assert.deepEqual(times, [-1, 0, 5, MAX]);
    });

    test("a field without a name is kept too", async (t) => {
      const driver = await fresh(t);
      const newer = { ...record("s"), "": "empty name" };
      await driver.updateSession(newer);
      assert.deepEqual(present(await driver.getSession("s")), newer);
    });

    oursOnly("destroyedAt and sandboxId that are null come back absent", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession({ ...record("s"), destroyedAt: null, sandboxId: null } as never);
      assert.deepEqual(await driver.getSession("s"), record("s"));
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
  });
}
