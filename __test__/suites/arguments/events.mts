/** The fields of an event: every wrong value of each is refused, and nothing is stored. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionEvent } from "sandbox-agent";
import type { Drivers } from "./drivers.mts";
import { event, named, refused } from "./refusals.mts";
import { NOT_INTEGER_FIELDS, NOT_STRING_FIELDS, SECRET } from "./wrong-values.mts";

export function events({ opened, refusesEvent }: Drivers): void {
  describe("fields of an event", () => {
    for (const field of ["id", "sessionId", "connectionId", "sender"] as const) {
      for (const [what, wrong, message] of NOT_STRING_FIELDS) {
        test(`${field} that is ${what} is refused`, () =>
          refusesEvent({ [field]: wrong }, named("event", field), message));
      }
    }

    for (const field of ["eventIndex", "createdAt"] as const) {
      for (const [what, wrong, message] of NOT_INTEGER_FIELDS) {
        test(`${field} that is ${what} is refused`, () =>
          refusesEvent({ [field]: wrong }, named("event", field), message));
      }
    }

    for (const index of [-1, -Number.MAX_SAFE_INTEGER]) {
      test(`the index ${index} is refused`, () =>
        refusesEvent({ eventIndex: index }, new RegExp(`^event\\.eventIndex must not be negative, it is ${index}$`)));
    }

    test("the index -0 is 0", async (t) => {
      const driver = opened(t);
      await driver.insertEvent("s", event({ eventIndex: -0 }));
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [event({ eventIndex: 0 })] });
    });

    for (const sender of ["", "user", "Client", "agent ", SECRET]) {
      test(`the sender ${JSON.stringify(sender)} is refused`, () =>
        refusesEvent({ sender }, /^event\.sender must be "client" or "agent"$/));
    }

    for (const [what, payload] of [
      ["undefined", undefined],
      ["a function", () => SECRET],
      ["a symbol", Symbol(SECRET)],
    ] as const) {
      test(`a payload that is ${what} is refused`, () =>
        refusesEvent({ payload }, /^event\.payload must be a JSON value, it is nothing$/));
    }

    test("a payload that is left out is refused", async (t) => {
      const driver = opened(t);
      const { payload: _, ...rest } = event();
      await refused(() => driver.insertEvent("s", rest as SessionEvent), /^event\.payload must be a JSON value/);
    });

    for (const field of ["id", "eventIndex", "payload", "unknown"]) {
      test(`a BigInt in ${field} is refused`, () => refusesEvent({ [field]: 5n }, /^event cannot be turned into JSON/));
    }

    test("an event that names another session than the call is refused", async (t) => {
      const driver = opened(t);
      await refused(
        () => driver.insertEvent("other", event()),
        /^event\.sessionId is "s", but the event was given for session "other": they must be the same$/,
      );
      assert.deepEqual(await driver.listEvents({ sessionId: "other" }), { items: [] });
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [] });
    });

    test("a field name with a lone surrogate is refused", () =>
      refusesEvent({ [`${SECRET}\ud800`]: 1 }, /^the event must be an object whose field names are well-formed text$/));
  });
}
