// What a caller changes inside of a record.
import type { Case } from "../case.ts";
import { FULL } from "../records.ts";
import { assertSame } from "../same.ts";

export const deepCopies: Case[] = [
  {
    promise: "a record is stored as it was when updateSession was called",
    otherwise: "what a program does to its own object a moment later is stored, or half of it",
    async check(store) {
      const driver = await store.open();
      const mine = structuredClone(FULL);
      const stored = driver.updateSession(mine);
      change(mine);
      await stored;
      assertSame(await driver.getSession(FULL.id), FULL);
    },
  },
  {
    promise: "what is changed deep inside a record that was written or read does not change the store",
    otherwise: "a change that was never written shows up in the store",
    async check(store) {
      const driver = await store.open();
      const mine = structuredClone(FULL);
      await driver.updateSession(mine);
      change(mine);
      const read = await driver.getSession(FULL.id);
      assertSame(read, FULL);
      change(read!);
      assertSame(await driver.getSession(FULL.id), FULL);
    },
  },
];

function change(record: typeof FULL): void {
  record.sessionInit!.cwd = "/elsewhere";
  record.modes!.availableModes.length = 0;
}
