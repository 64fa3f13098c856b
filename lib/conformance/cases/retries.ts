// An event that is inserted again, because the answer to the first try was lost.
import assert from "node:assert/strict";

import type { Case } from "../case.ts";
import { event, eventsOf, indexes, insert, range } from "../records.ts";

export const retries: Case[] = [
  {
    promise: "an event that is inserted again under its id, at its place, is stored once",
    otherwise: "whoever tries again after an error, or copies a session twice, has every event twice",
    async check(store) {
      const driver = await store.open();
      await insert(driver, "s", range(1, 6));
      await insert(driver, "s", [2, 5, 2]);
      assert.deepEqual(indexes(await eventsOf(driver, "s")), range(1, 6));
    },
  },
  {
    promise: "an event that is inserted twice at once under one id is stored once",
    otherwise: "an impatient second try stores the event twice",
    async check(store) {
      const driver = await store.open();
      await Promise.all([1, 1, 2, 2].map((index) => driver.insertEvent("s", event("s", index))));
      assert.deepEqual(indexes(await eventsOf(driver, "s")), [1, 2]);
    },
  },
];
