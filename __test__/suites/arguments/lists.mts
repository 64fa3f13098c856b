/** The filters and the order of lists: every wrong value of each is refused, and so is a field that there is none of. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EventListRequest, SessionListRequest } from "../../../index.js";
import type { Drivers } from "./drivers.mts";
import { event, named, record, refused } from "./refusals.mts";
import { NOT_STRINGS, SECRET } from "./wrong-values.mts";

export function lists({ opened }: Drivers): void {
  describe("fields of a list request", () => {
    for (const [what, wrong, kind] of NOT_STRINGS) {
      if (wrong === undefined) continue;
      test(`a field that is ${what} is refused`, async (t) => {
        const driver = opened(t);
        for (const field of ["order", "sender", "method"]) {
          const request = { sessionId: "s", [field]: wrong } as EventListRequest;
          await refused(() => driver.listEvents(request), named("request", field), kind);
        }
        for (const field of ["order", "agent", "sandboxId"]) {
          const request = { [field]: wrong } as SessionListRequest;
          await refused(() => driver.listSessions(request), named("request", field), kind);
        }
        if (typeof wrong !== "number") {
          for (const field of ["afterIndex", "beforeIndex"]) {
            const request = { sessionId: "s", [field]: wrong } as EventListRequest;
            await refused(() => driver.listEvents(request), named("request", field), /an integer, it is /, kind);
          }
          for (const field of ["createdAfter", "createdBefore"]) {
            const request = { [field]: wrong } as SessionListRequest;
            await refused(() => driver.listSessions(request), named("request", field), /an integer, it is /, kind);
          }
        }
        if (typeof wrong !== "boolean") {
          const request = { destroyed: wrong } as SessionListRequest;
          await refused(() => driver.listSessions(request), /^request\.destroyed must be a boolean, it is /, kind);
        }
      });
    }

    for (const number of [NaN, Infinity, -Infinity, 0.5, 2 ** 53, -(2 ** 53), 1e300]) {
      test(`${number} is refused where an integer belongs`, async (t) => {
        const driver = opened(t);
        const message = new RegExp(`must be an integer no larger than Number\\.MAX_SAFE_INTEGER, it is `);
        for (const field of ["afterIndex", "beforeIndex"]) {
          const request = { sessionId: "s", [field]: number } as EventListRequest;
          await refused(() => driver.listEvents(request), named("request", field), message);
        }
        for (const field of ["createdAfter", "createdBefore"]) {
          const request = { [field]: number } as SessionListRequest;
          await refused(() => driver.listSessions(request), named("request", field), message);
        }
      });
    }

    for (const order of ["", "ASC", "descending", "newest"]) {
      test(`the order ${JSON.stringify(order)} is refused`, async (t) => {
        const driver = opened(t);
        const message = /^request\.order must be "asc" or "desc", it is "/;
        await refused(() => driver.listEvents({ sessionId: "s", order: order as "asc" }), message);
        await refused(() => driver.listSessions({ order: order as "asc" }), message);
      });
    }

    for (const sender of ["", "user", "Client", "agent "]) {
      test(`the sender ${JSON.stringify(sender)} is refused`, async (t) => {
        const driver = opened(t);
        const request = { sessionId: "s", sender: sender as "agent" };
        await refused(() => driver.listEvents(request), /^request\.sender must be "client" or "agent", it is "/);
      });
    }

    test("labels that are not an object of strings, or too many, are refused", async (t) => {
      const driver = opened(t);
      const list = (labels: unknown) => () => driver.listSessions({ labels: labels as Record<string, string> });
      for (const [what, wrong, kind] of NOT_STRINGS) {
        // Who passes a value that is not there must not be shown everybody's sessions.
        await refused(list({ tenant: wrong }), /^request\.labels\["tenant"\] must be a string, it is /, kind);
        if (wrong === undefined || what.includes("bject")) continue;
        await refused(list(wrong), /^request\.labels must be an object, it is /, kind);
      }
      await refused(list({ tenant: `${SECRET}\ud800` }), /^request\.labels\["tenant"\] must be well-formed Unicode/);
      await refused(list({ "\ud800": "a" }), /^the name of a label must be well-formed Unicode/);
      const many = Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`label-${n}`, SECRET]));
      await refused(
        list(many),
        /^sessions can be found by 64 labels at most, which is what a session may have; there are 65$/,
      );
      const { "label-0": _, ...most } = many;
      assert.deepEqual(await driver.listSessions({ labels: most }), { items: [] });
    });

    test("a text with a lone surrogate is refused, and not taken for another text", async (t) => {
      const driver = opened(t);
      const lone = `${SECRET}\ud800`;
      const message = /must be well-formed Unicode, it is a string with a lone surrogate$/;
      await refused(() => driver.listEvents({ sessionId: "s", method: lone }), /^request\.method /, message);
      await refused(() => driver.listSessions({ agent: lone }), /^request\.agent /, message);
      await refused(() => driver.listSessions({ sandboxId: lone }), /^request\.sandboxId /, message);
    });

    test("a field that there is none of is refused, unless it is undefined", async (t) => {
      const driver = opened(t);
      await driver.insertEvent("s", event());
      await driver.updateSession(record());
      for (const [field, shown] of [
        ["odrer", "odrer"],
        ["agent", "agent"],
        ["", '""'],
        ["a b", '"a b"'],
        ["\u0000", '"'],
        ["\ud800", '"'],
      ] as const) {
        const request = { sessionId: "s", [field]: SECRET };
        const message = `request.${shown}`;
        const { message: said } = await refused(() => driver.listEvents(request), / is not a field of listEvents; the/);
        assert.ok(said.startsWith(message), said);
        const none = await driver.listEvents({ sessionId: "s", [field]: undefined } as EventListRequest);
        assert.deepEqual(none, { items: [event()] });
      }
      for (const field of ["sender", "sessionId", "afterIndex", "destroyedAt"]) {
        const request = { [field]: SECRET } as SessionListRequest;
        await refused(() => driver.listSessions(request), / is not a field of listSessions; the fields are cursor, /);
        assert.deepEqual(await driver.listSessions({ [field]: undefined } as SessionListRequest), {
          items: [record()],
        });
      }
    });

    test("what a request inherits or does not list is read all the same", async (t) => {
      const driver = opened(t);
      await driver.insertEvent("s", event());
      class Request {
        get sessionId() {
          return "s";
        }
        get beforeIndex() {
          return 1;
        }
      }
      assert.deepEqual(await driver.listEvents(new Request()), { items: [] });
      assert.deepEqual(await driver.listEvents(Object.create({ sessionId: "s", beforeIndex: 1 })), { items: [] });
      await refused(() => driver.listEvents(Object.create({ sessionId: "s", before: 1 })), /^request\.before is not a/);
    });

    test("a getter of a field that throws rejects, with the very error as cause", async (t) => {
      const driver = opened(t);
      const own = new RangeError("the program's own");
      const thrower = (field: string) => Object.defineProperty({ sessionId: "s" }, field, { enumerable: true, get() { throw own; } }); // prettier-ignore
      for (const field of ["order", "method", "unknown"]) {
        const { cause } = await refused(() => driver.listEvents(thrower(field)), /^reading (the|a) field .*threw/);
        assert.equal(cause, own);
      }
      const names = new Proxy({ sessionId: "s" }, { ownKeys() { throw own; } }); // prettier-ignore
      const { cause } = await refused(() => driver.listEvents(names), /^reading the names of request threw/);
      assert.equal(cause, own);
    });
  });
}
