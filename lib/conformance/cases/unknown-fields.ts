// Fields that are in no SDK yet.
import type { SessionEvent, SessionRecord } from "sandbox-agent" with { "resolution-mode": "import" };

import type { Case } from "../case.ts";
import { event, eventsOf, FULL } from "../records.ts";
import { assertSame } from "../same.ts";

const FIELDS = { fromNewerSdk: { deep: [1, null, "text"] }, zero: 0, no: false };

export const unknownFields: Case[] = [
  {
    promise: "a field of a record that this release of the SDK does not have is kept",
    otherwise: "after an update of the SDK, sessions lack what it needs",
    async check(store) {
      const driver = await store.open();
      const newer: SessionRecord = { ...FULL, ...FIELDS };
      await driver.updateSession(newer);
      assertSame(await driver.getSession(FULL.id), newer);
    },
  },
  {
    promise: "a field of an event that this release of the SDK does not have is kept",
    otherwise: "after an update of the SDK, events lack what it needs",
    async check(store) {
      const driver = await store.open();
      const newer: SessionEvent = { ...event("s", 1), ...FIELDS };
      await driver.insertEvent("s", newer);
      assertSame(await eventsOf(driver, "s"), [newer]);
    },
  },
];
