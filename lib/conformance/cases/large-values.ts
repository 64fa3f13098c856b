// Messages that are larger, or deeper, than most.
import assert from "node:assert/strict";

import type { Case } from "../case.ts";
import { event, eventsOf, message } from "../records.ts";

export const largeValues: Case[] = [
  {
    promise: "a message of 32 MiB comes back equal",
    otherwise: "an agent that reads a large file loses that event",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const text = "0123456789 abcdef é€😀\n".repeat((32 << 20) / 30);
      await driver.insertEvent("s", event("s", 1, { payload: message(text) }));
      const [read] = await eventsOf(driver, "s");
      // Not assert.equal: its message would hold both.
      assert.ok((read?.payload as { params?: unknown } | undefined)?.params === text, "it came back as something else");
    },
  },
  {
    promise: "a message of 1,000 levels comes back equal",
    otherwise: "an agent that prints a deep tree loses that event",
    facts: [2],
    async check(store) {
      const driver = await store.open();
      for (const [index, [open, close]] of [
        ["[", "]"],
        ['{"a":', "}"],
      ].entries()) {
        const payload = message(JSON.parse(`${open!.repeat(1000)}1${close!.repeat(1000)}`));
        await driver.insertEvent("s", event("s", index + 1, { payload }));
        const read = (await eventsOf(driver, "s"))[index];
        assert.ok(JSON.stringify(read?.payload) === JSON.stringify(payload), "it came back as something else");
      }
    },
  },
];
