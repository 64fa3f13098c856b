/** Objects that run code of the caller when they are read or set, or that cannot be changed. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionEvent } from "sandbox-agent";
import type { Drivers } from "./drivers.mts";
import { event, record, refused, thrown } from "./refusals.mts";
import { SECRET } from "./wrong-values.mts";

export function objects({ construct, opened, option, refusesEvent }: Drivers): void {
  describe("objects that run code or fight back", () => {
    const itself: Record<string, unknown> = { secret: SECRET };
    itself["itself"] = [itself];

    test("a payload that holds itself is refused, with the error of JSON.stringify as cause", async (t) => {
      const driver = opened(t);
      const message = /cannot be turned into JSON text \(see `cause`\)/;
      for (const call of [
        () => driver.insertEvent("s", event({ payload: itself as never })),
        () => driver.updateSession(record({ sessionInit: itself as never })),
      ]) {
        const { cause } = await refused(call, message);
        assert.ok(cause instanceof TypeError);
        assert.match(cause.message, /circular/);
      }
    });

    test("a getter or toJSON that throws rejects, with the very error as cause", async (t) => {
      const driver = opened(t);
      const own = new RangeError("the program's own");
      const getter = { get text() { throw own; } } as never; // prettier-ignore
      const toJSON = { toJSON() { throw own; } } as never; // prettier-ignore
      for (const thrower of [getter, toJSON]) {
        for (const call of [
          () => driver.insertEvent("s", thrower),
          () => driver.insertEvent("s", event({ payload: thrower })),
          () => driver.updateSession(thrower),
          () => driver.updateSession(record({ modes: thrower })),
        ]) {
          const { cause } = await refused(call, /^(event|session) cannot be turned into JSON text/);
          assert.equal(cause, own);
        }
      }
    });

    const endless = new Error("its own cause");
    endless.cause = endless;
    const unspeakable = { toString() { throw unspeakable; } }; // prettier-ignore
    for (const [what, value] of Object.entries({ "an error that is its own cause": endless, unspeakable })) {
      test(`${what}, thrown from everywhere, neither ends the process nor is lost`, async (t) => {
        const driver = opened(t);
        const thrower = { toJSON() { throw value; } } as never; // prettier-ignore
        assert.equal((await refused(() => driver.insertEvent("s", thrower))).cause, value);
        const request = { sessionId: "s", get limit() { throw value; } } as never; // prettier-ignore
        assert.equal((await refused(() => driver.listEvents(request))).cause, value);
        const options = Object.defineProperty({}, option, { enumerable: true, get: () => { throw value; } }); // prettier-ignore
        assert.equal(thrown(() => construct(options)).cause, value);
        const names = new Proxy({}, { ownKeys() { throw value; } }); // prettier-ignore
        assert.equal(thrown(() => construct(names)).cause, value);

        await driver.insertEvent("s", event({ id: "first" }));
        const taken = Object.defineProperty(event({ id: "second" }), "eventIndex", {
          enumerable: true,
          get: () => 1,
          set() { throw value; }, // prettier-ignore
        });
        await assert.rejects(driver.insertEvent("s", taken), { code: "ERR_PERSIST_INDEX_CONFLICT", cause: value });
      });
    }

    test("calls from the end of the stack reject or throw, and the process goes on", async (t) => {
      const driver = opened(t);
      const calls: Promise<unknown>[] = [];
      const insert = () => calls.push(driver.insertEvent("s", event()).catch(() => "refused"));
      function deeper(): void {
        try {
          insert();
        } catch {}
        try {
          deeper();
        } catch {
          try {
            insert();
          } catch {}
        }
      }
      deeper();
      await Promise.all(calls);
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [event()]);
    });

    test("a setter on Object.prototype does not run when an error is made", async (t) => {
      const driver = opened(t);
      t.after(() => delete (Object.prototype as { code?: unknown }).code);
      Object.defineProperty(Object.prototype, "code", { configurable: true, set() { throw new Error("ran"); } }); // prettier-ignore
      await assert.rejects(driver.getSession(1 as never), { code: "ERR_PERSIST_INVALID_ARGUMENT" });
      await assert.rejects(driver.insertEvent("s", { ...event(), id: 1 } as never), {
        code: "ERR_PERSIST_INVALID_ARGUMENT",
      });
    });

    test("what a program has put on Object.prototype is no field of a request or of options", async (t) => {
      const polluted = Object.prototype as { everywhere?: unknown };
      t.after(() => delete polluted.everywhere);
      polluted.everywhere = () => {};
      const driver = opened(t);
      await driver.insertEvent("s", event());
      await driver.updateSession(record());
      assert.equal((await driver.listEvents({ sessionId: "s" })).items.length, 1);
      assert.equal((await driver.listSessions({ limit: 5 })).items.length, 1);
      assert.equal((await driver.tailEvents({ sessionId: "s" }).next()).done, false);
      assert.equal((await driver.forkSession(record().id, {})).agent, record().agent);
      const own = { sessionId: "s", everywhere: 1 };
      await assert.rejects(driver.listEvents(own), /^TypeError: request\.everywhere is not a field/);
    });

    for (const [what, value] of Object.entries({
      undefined: undefined,
      null: null,
      "a number": 42,
      "a string": "text",
      "a BigInt": 1n,
      "a symbol": Symbol("thrown"),
      "an object": {},
      "an object that no string can be made of": Object.create(null),
      "a function": () => SECRET,
    })) {
      test(`a toJSON that throws ${what} rejects`, async () => {
        const payload = { toJSON() { throw value; } }; // prettier-ignore
        await refusesEvent({ payload }, /^event cannot be turned into JSON text/);
      });
    }

    test("a toJSON of the event itself decides what is stored", async (t) => {
      const driver = opened(t);
      await driver.insertEvent("s", { ...event(), toJSON: () => event({ createdAt: 77 }) } as SessionEvent);
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [event({ createdAt: 77 })] });
    });

    test("a toJSON that returns no object is refused", async (t) => {
      for (const [returned, message] of [
        [undefined, /^event has a toJSON that returns nothing$/],
        [SECRET, /^the event must be an object/],
        [[SECRET], /^the event must be an object/],
        [null, /^the event must be an object/],
      ] as const) {
        await refusesEvent({ toJSON: () => returned }, message);
      }
      const driver = opened(t);
      await refused(() => driver.insertEvent("s", new Date(0) as never), /^the event must be an object/);
      await refused(() => driver.updateSession(new Date(0) as never), /^the session must be an object/);
    });

    test("a getter of a request that throws rejects, with the very error as cause", async (t) => {
      const driver = opened(t);
      const own = new RangeError("the program's own");
      for (const field of ["sessionId", "cursor", "limit"]) {
        const request = Object.defineProperty({ sessionId: "s" }, field, { get: () => { throw own; } }); // prettier-ignore
        const error = await refused(
          () => driver.listEvents(request as never),
          new RegExp(`^reading the field ${field} threw`),
        );
        assert.equal(error.cause, own);
        if (field === "sessionId") continue;
        const ofSessions = await refused(() => driver.listSessions(request as never), new RegExp(`${field} threw`));
        assert.equal(ofSessions.cause, own);
      }
      // Nothing is left behind that would fail the next call.
      assert.deepEqual(await driver.listSessions(), { items: [] });
    });

    test("a getter of a request that throws no error rejects", async (t) => {
      const driver = opened(t);
      for (const value of [undefined, 42, Symbol("thrown"), { toString: null }]) {
        const request = Object.defineProperty({}, "limit", { get: () => { throw value; } }); // prettier-ignore
        await refused(() => driver.listSessions(request), /^reading the field limit threw/);
      }
    });

    const own = new RangeError("the program's own");
    const thrower = () => {
      throw own;
    };
    for (const [when, signal] of Object.entries({
      "is looked at": new Proxy({}, { get: thrower }),
      "is asked": Object.defineProperty(new AbortController().signal, "aborted", { get: thrower }),
      "is listened to": Object.assign(new AbortController().signal, { addEventListener: thrower }),
    })) {
      test(`a signal that throws when it ${when} rejects, with the very error as cause, and nothing is begun`, async (t) => {
        const driver = opened(t);
        await driver.updateSession(record());
        const signals = { signal } as { signal: AbortSignal };
        for (const call of [
          () => driver.pruneSessions({ idleBefore: 2, ...signals }),
          () => driver.compactSession("s", signals),
          () => driver.tailEvents({ sessionId: "s", ...signals }).next(),
        ]) {
          const { cause } = await refused(call, /^(reading the field|listening to the) signal threw \(see `cause`\)$/);
          assert.equal(cause, own);
        }
        assert.deepEqual(await driver.pruneSessions({ idleBefore: 2 }), { sessions: 1, events: 0, bytes: 0 });
      });
    }

    test("a signal that is aborted while the options are read ends the work before it has begun", async (t) => {
      const driver = opened(t);
      await driver.updateSession(record());
      const controller = new AbortController();
      const { signal } = controller;
      const idleBefore = () => (controller.abort(own), 2);
      const options = Object.defineProperty({ signal }, "idleBefore", { enumerable: true, get: idleBefore });
      await assert.rejects(driver.pruneSessions(options), { name: "AbortError", cause: own });
      assert.deepEqual(await driver.getSession("s"), record());
    });

    test("a revoked Proxy is refused wherever an object is expected", async (t) => {
      const driver = opened(t);
      const { proxy, revoke } = Proxy.revocable({}, {});
      revoke();
      await refused(() => driver.insertEvent("s", proxy as never), /^event cannot be turned into JSON text/);
      await refused(() => driver.updateSession(proxy as never), /^session cannot be turned into JSON text/);
      await refused(() => driver.listSessions(proxy), /^reading the field \w+ threw/);
      await refused(() => driver.listEvents(proxy as never), /^reading the field \w+ threw/);
      thrown(() => construct(proxy), /options threw/);
    });

    test("frozen objects, class instances, objects without a prototype and Proxies are stored", async (t) => {
      class Event {
        constructor(fields: SessionEvent) {
          Object.assign(this, fields);
        }
      }
      const driver = opened(t);
      const given = [0, 1, 2, 3].map((eventIndex) => event({ eventIndex, id: `e${eventIndex}` })) as [SessionEvent, SessionEvent, SessionEvent, SessionEvent]; // prettier-ignore
      await driver.insertEvent("s", Object.freeze({ ...given[0] }));
      await driver.insertEvent("s", new Event(given[1]) as SessionEvent);
      await driver.insertEvent("s", Object.assign(Object.create(null), given[2]));
      await driver.insertEvent("s", new Proxy(given[3], {}));
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: given });
      await driver.updateSession(Object.freeze(record()));
      await driver.updateSession(new Proxy(record({ agent: "proxied" }), {}));
      assert.deepEqual(await driver.getSession("s"), record({ agent: "proxied" }));
    });

    // The SDK gives its listeners this very object, so an index that differs from the stored one must not pass silently.
    const unchangeable: Record<string, () => SessionEvent> = {
      "is frozen": () => Object.freeze(event({ id: "late" })),
      "has an eventIndex without a setter": () =>
        Object.defineProperty(event({ id: "late" }), "eventIndex", { get: () => 1 }),
      "is a Proxy that refuses to be set": () => new Proxy(event({ id: "late" }), { set: () => false }),
      "has a setter that throws": () =>
        Object.defineProperty(event({ id: "late" }), "eventIndex", {
          get: () => 1,
          set: () => {
            throw new RangeError("the program's own");
          },
        }),
    };
    for (const [how, make] of Object.entries(unchangeable)) {
      test(`an event that ${how} is stored at its new index, and the rejection says at which`, async (t) => {
        const driver = opened(t);
        await driver.insertEvent("s", event());
        await assert.rejects(driver.insertEvent("s", make()), {
          name: "Error",
          code: "ERR_PERSIST_INDEX_CONFLICT",
          message: /^the event is stored at index 2, since its own was taken/,
        });
        assert.deepEqual(await driver.listEvents({ sessionId: "s" }), {
          items: [event(), event({ id: "late", eventIndex: 2 })],
        });
      });
    }

    test("an event that is a Proxy gets its new index through the Proxy", async (t) => {
      const driver = opened(t);
      await driver.insertEvent("s", event());
      const target = event({ id: "late" });
      await driver.insertEvent("s", new Proxy(target, {}));
      assert.equal(target.eventIndex, 2);
    });
  });
}
