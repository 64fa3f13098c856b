/** Labels of sessions: set, removed and read, and left alone by the SDK's own calls. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import type { Suite } from "./driver.mts";
import { record } from "./records.mts";

/** 1,024 bytes of UTF-8. */
const LONGEST = "é😀".repeat(170) + "four";

export function labels({ name, ours, oursOnly }: Suite): void {
  describe(`${name}: labels`, () => {
    oursOnly("labels are merged, null removes one, and undefined changes nothing", async (t) => {
      const driver = await ours(t);
      assert.deepEqual(await driver.getLabels("s"), {});
      assert.equal(await driver.setLabels("s", { tenant: "acme", user: "u1", old: "x" }), undefined);
      await driver.setLabels("s", { user: "u2", old: null, never: null, tenant: undefined, empty: "" });
      await driver.setLabels("s", {});
      assert.deepEqual(await driver.getLabels("s"), { tenant: "acme", user: "u2", empty: "" });
      assert.deepEqual(await driver.getLabels("other"), {});
    });

    oursOnly("labels may be set before the record, and what the SDK writes leaves them alone", async (t) => {
      const driver = await ours(t);
      await driver.setLabels("s", { user: "u1" });
      assert.equal(await driver.getSession("s"), undefined);
      await driver.updateSession(record("s"));
      await driver.updateSession(record("s", { destroyedAt: 5 }));
      assert.deepEqual(await driver.getLabels("s"), { user: "u1" });
    });

    oursOnly("names and values come back as they were, whatever is in them", async (t) => {
      const driver = await ours(t);
      const odd = Object.fromEntries([
        ["__proto__", "prototype"],
        ["constructor", "c"],
        ["7", "number"],
        ['"; DROP TABLE session_labels; --', "' OR 1 = 1"],
        ["ü\u2028\n😀", "\u0001\u2028\n\\\"'%_😀"],
        ["n".repeat(128), LONGEST],
      ]);
      await driver.setLabels('id "quoted" \'1', odd);
      const read = await driver.getLabels('id "quoted" \'1');
      assert.deepEqual(Object.entries(read).sort(), Object.entries(odd).sort());
    });

    oursOnly("a session has 64 labels at most, and a call that would pass that changes nothing", async (t) => {
      const driver = await ours(t);
      const numbered = (from: number, to: number, value: string | null) =>
        Object.fromEntries(Array.from({ length: to - from }, (_, at) => [`label-${from + at}`, value]));
      await driver.setLabels("s", numbered(0, 64, "first"));
      await assert.rejects(driver.setLabels("s", { "label-0": "second", "label-64": "one more" }), {
        code: "ERR_PERSIST_INVALID_ARGUMENT",
        message: /session "s" would have 65 labels, and may have 64/,
      });
      assert.deepEqual(await driver.getLabels("s"), numbered(0, 64, "first"));
      await driver.setLabels("s", { ...numbered(0, 64, null), ...numbered(64, 128, "second") });
      assert.deepEqual(await driver.getLabels("s"), numbered(64, 128, "second"));
    });

    oursOnly("labels keep their place among the writes of their session", async (t) => {
      const driver = await ours(t);
      const calls: Promise<void>[] = [];
      for (let round = 0; round < 20; round += 1) {
        calls.push(driver.setLabels("s", { last: `${round}`, [`label-${round}`]: "set" }));
        calls.push(driver.updateSession(record("s", { createdAt: round })));
        calls.push(driver.setLabels("s", { [`label-${round}`]: null }));
      }
      await Promise.all(calls);
      assert.deepEqual(await driver.getLabels("s"), { last: "19" });
      assert.equal((await driver.getSession("s"))?.createdAt, 19);
    });
  });
}
