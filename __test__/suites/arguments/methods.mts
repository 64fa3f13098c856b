/** What the methods are called with: ids, cursors, limits, requests, and things that are no record and no event. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionEvent, SessionRecord } from "sandbox-agent";
import type { Drivers } from "./drivers.mts";
import { event, record, refused } from "./refusals.mts";
import { NOT_OBJECTS, NOT_STRINGS } from "./wrong-values.mts";

export function methods({ opened, zero }: Drivers): void {
  describe("arguments of the methods", () => {
    for (const [what, wrong, kind] of NOT_STRINGS) {
      test(`an id that is ${what} is refused`, async (t) => {
        const driver = opened(t);
        await refused(() => driver.getSession(wrong as string), /^id must be a string, it is /, kind);
        await refused(() => driver.deleteSession(wrong as string), /^id must be a string, it is /, kind);
        await refused(() => driver.insertEvent(wrong as string, event()), /^sessionId must be a string, it is /, kind);
        await refused(
          () => driver.listEvents({ sessionId: wrong as string }),
          /^request\.sessionId must be a string, it is /,
          kind,
        );
      });

      if (wrong === undefined || wrong === null) continue;
      test(`a cursor that is ${what} is refused`, async (t) => {
        const driver = opened(t);
        const cursor = wrong as string;
        await refused(() => driver.listSessions({ cursor }), /^request\.cursor must be a string, it is /, kind);
        await refused(() => driver.listEvents({ sessionId: "s", cursor }), /^request\.cursor must be a string/, kind);
      });
    }

    for (const [what, wrong, kind] of NOT_OBJECTS) {
      test(`a record, event or request that is ${what} is refused`, async (t) => {
        const driver = opened(t);
        await refused(() => driver.updateSession(wrong as SessionRecord), /^session must be an object, it is /, kind);
        await refused(() => driver.insertEvent("s", wrong as SessionEvent), /^event must be an object, it is /, kind);
        await refused(() => driver.listEvents(wrong as never), /^request must be an object, it is /, kind);
        if (wrong === undefined || wrong === null) return;
        await refused(() => driver.listSessions(wrong as never), /^request must be an object, it is /, kind);
      });
    }

    test("a request, cursor or limit that is null is taken as left out", async (t) => {
      const driver = opened(t);
      await driver.insertEvent("s", event());
      assert.deepEqual(await driver.listSessions(null as never), { items: [] });
      assert.deepEqual(await driver.listSessions({ cursor: null, limit: null } as never), { items: [] });
      const page = await driver.listEvents({ sessionId: "s", cursor: null, limit: null } as never);
      assert.deepEqual(page, { items: [event()] });
    });

    for (const [what, wrong, kind] of [...NOT_OBJECTS, ["an object", {}, /an object$/] as const]) {
      if (wrong === undefined || wrong === null || typeof wrong === "number") continue;
      test(`a limit that is ${what} is refused`, async (t) => {
        const driver = opened(t);
        const limit = wrong as number;
        await refused(() => driver.listSessions({ limit }), /^request\.limit must be a number, it is /, kind);
        await refused(() => driver.listEvents({ sessionId: "s", limit }), /^request\.limit must be a number/, kind);
      });
    }

    const garbage = ["", " ", "x", "-1", "+1", "1.5", "1e3", "0x10", " 1", "1 ", "1\u0000", "١٢", "next", "e1", "s1", ":", "null"]; // prettier-ignore
    const notOfEvents = ["e1:", "e1:x", "e1:1.5", "e1: 5", "e1:5 ", "E1:5", "e2:5", "e1:9223372036854775808", "s1:5:a"];
    const notOfSessions = ["s1:", "s1:5", "s1::a", "s1:x:a", "s1: 5:a", "S1:5:a", "s2:5:a", "e1:5"];
    for (const cursor of [...garbage, ...notOfEvents]) {
      test(`the cursor ${JSON.stringify(cursor)} is refused for events, never taken for the start`, async (t) => {
        const driver = opened(t);
        await refused(() => driver.listEvents({ sessionId: "s", cursor }), /^the cursor is not one of this list/);
      });
    }
    for (const cursor of [...garbage, ...notOfSessions]) {
      test(`the cursor ${JSON.stringify(cursor)} is refused for sessions, never taken for the start`, async (t) => {
        const driver = opened(t);
        await refused(() => driver.listSessions({ cursor }), /^the cursor is not one of this list/);
      });
    }

    test("an id with a lone surrogate is refused, and not taken for another id", async (t) => {
      const driver = opened(t);
      // What a lone surrogate becomes where text must be well formed.
      await driver.updateSession(record({ id: "\ufffd" }));
      await driver.insertEvent("\ufffd", event({ sessionId: "\ufffd" }));
      const lone = "\ud800";
      await refused(() => driver.getSession(lone), /^id must be well-formed Unicode/);
      await refused(() => driver.listEvents({ sessionId: lone }), /^request\.sessionId must be well-formed Unicode/);
      await refused(
        () => driver.insertEvent(lone, event({ sessionId: "\ufffd", eventIndex: 2 })),
        /^sessionId must be well-formed Unicode/,
      );
    });

    test("ids may hold anything else that text can hold", async (t) => {
      const driver = opened(t);
      for (const id of [
        "",
        " ",
        ...(zero ? ["a\u0000b", "\u0000"] : []),
        "'; DROP TABLE sessions; --",
        "😀",
        "\uffff",
        "x".repeat(100_000),
      ]) {
        await driver.updateSession(record({ id }));
        await driver.insertEvent(id, event({ sessionId: id }));
        assert.deepEqual(await driver.getSession(id), record({ id }));
        assert.deepEqual(await driver.listEvents({ sessionId: id }), { items: [event({ sessionId: id })] });
      }
    });
  });
}
