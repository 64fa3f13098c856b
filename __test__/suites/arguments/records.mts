/** The fields of a record: every wrong value of each is refused, and the stored record stays as it was. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Drivers } from "./drivers.mts";
import { named, record } from "./refusals.mts";
import { NOT_INTEGER_FIELDS, NOT_STRING_FIELDS, SECRET, stringified } from "./wrong-values.mts";

export function records({ opened, refusesRecord }: Drivers): void {
  describe("fields of a record", () => {
    for (const field of ["id", "agent", "agentSessionId", "lastConnectionId", "sandboxId"] as const) {
      for (const [what, wrong, message] of NOT_STRING_FIELDS) {
        if (field === "sandboxId" && stringified(wrong) === undefined) continue;
        test(`${field} that is ${what} is refused`, () =>
          refusesRecord({ [field]: wrong }, named("session", field), message));
      }
    }

    for (const field of ["createdAt", "destroyedAt"] as const) {
      for (const [what, wrong, message] of NOT_INTEGER_FIELDS) {
        if (field === "destroyedAt" && stringified(wrong) === undefined) continue;
        test(`${field} that is ${what} is refused`, () =>
          refusesRecord({ [field]: wrong }, named("session", field), message));
      }
    }

    test("destroyedAt and sandboxId may be left out, or be what JSON leaves out or makes null", async (t) => {
      const driver = opened(t);
      for (const left of [undefined, null, () => SECRET, Symbol(SECRET)]) {
        await driver.updateSession(record({ destroyedAt: left, sandboxId: left } as never));
        assert.deepEqual(await driver.getSession("s"), record());
      }
    });

    test("sessionInit, configOptions, modes and unknown fields may be any JSON value", async (t) => {
      const driver = opened(t);
      for (const any of [0, "", false, [], {}, null, "text", [{ a: [null] }]]) {
        const given = record({ sessionInit: any, configOptions: any, modes: any, unknown: any } as never);
        await driver.updateSession(given);
        assert.deepEqual(await driver.getSession("s"), given);
      }
    });

    for (const field of ["id", "createdAt", "sessionInit", "modes", "unknown"]) {
      test(`a BigInt in ${field} is refused`, () =>
        refusesRecord({ [field]: 5n }, /^session cannot be turned into JSON/));
    }

    test("a field name with a lone surrogate is refused", () =>
      refusesRecord(
        { [`${SECRET}\ud800`]: 1 },
        /^the session must be an object whose field names are well-formed text$/,
      ));
  });
}
