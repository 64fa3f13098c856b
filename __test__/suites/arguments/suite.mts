/**
 * Bad input to the methods: every wrong type of every argument and field has its code and a message that names it and
 * shows no payload; every method rejects, none throws. Each driver's test runs it.
 */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type { SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent";

/** Stands in payloads and wrong fields; no message may show it. */
export const SECRET = "sk-secret-0123456789";

const NOT_STRINGS: [string, unknown, RegExp][] = [
  ["undefined", undefined, /undefined$/],
  ["null", null, /null$/],
  ["a number", 5, /a number$/],
  ["NaN", NaN, /a number$/],
  ["a boolean", true, /a boolean$/],
  ["an object", { secret: SECRET }, /an object$/],
  ["a String object", new String(SECRET), /an object$/],
  ["an array", [SECRET], /an array$/],
  ["a function", () => SECRET, /a function$/],
  ["a symbol", Symbol(SECRET), /a symbol$/],
  ["a BigInt", 5n, /a BigInt$/],
];
export const NOT_OBJECTS = [
  ...NOT_STRINGS.filter(([what]) => !what.includes("bject")),
  ["a string", SECRET, /a string$/] as (typeof NOT_STRINGS)[0],
];

/** What JSON makes of a wrong value decides the message: functions and symbols are left out, NaN is null. */
const NOT_STRING_FIELDS: [string, unknown, RegExp][] = [
  ["undefined", undefined, /must be a string, it is missing$/],
  ["null", null, /must be a string, it is null/],
  ["a number", 5, /must be a string, it is .*number$/],
  ["NaN", NaN, /must be a string, it is null \(or a number that is not finite\)$/],
  ["a boolean", true, /must be a string, it is a boolean$/],
  ["an object", { secret: SECRET }, /must be a string, it is an object$/],
  ["an array", [SECRET], /must be a string, it is an array$/],
  ["a function", () => SECRET, /must be a string, it is missing$/],
  ["a symbol", Symbol(SECRET), /must be a string, it is missing$/],
  ["a string with a lone surrogate", `${SECRET}\ud800`, /must be well-formed Unicode, it is a string with a lone sur/],
];
const NOT_INTEGER_FIELDS: [string, unknown, RegExp][] = [
  ["undefined", undefined, /must be an integer.*, it is missing$/],
  ["null", null, /must be an integer.*, it is null/],
  ["a string", "5", /must be an integer.*, it is a string$/],
  ["a Date", new Date(5), /must be an integer.*, it is a string$/],
  ["a boolean", false, /must be an integer.*, it is a boolean$/],
  ["an object", { secret: SECRET }, /must be an integer.*, it is an object$/],
  ["an array", [5], /must be an integer.*, it is an array$/],
  ["a function", () => 5, /must be an integer.*, it is missing$/],
  ["a symbol", Symbol(SECRET), /must be an integer.*, it is missing$/],
  ["NaN", NaN, /must be an integer.*, it is null \(or a number that is not finite\)$/],
  ["Infinity", -Infinity, /must be an integer.*, it is null \(or a number that is not finite\)$/],
  ["a fraction", 1.5, /must be an integer no larger than Number.MAX_SAFE_INTEGER, it is another number$/],
  ["an integer that is not safe", 2 ** 53, /must be an integer no larger than Number.MAX_SAFE_INTEGER/],
  ["a negative integer that is not safe", -(2 ** 53), /must be an integer no larger than Number.MAX_SAFE_INTEGER/],
  ["1e21", 1e21, /must be an integer no larger than Number.MAX_SAFE_INTEGER/],
];

type Driver = SessionPersistDriver & { close(): Promise<void> };

export interface DriverClass {
  /** A driver on a store with nothing in it, or whatever its constructor throws. */
  construct(options?: object): Driver;
  /** An option that it reads. */
  option: string;
  /** Whether ids may hold U+0000. */
  zero: boolean;
}

/** The suite for one class of drivers. */
export function methodArguments({ construct, option, zero }: DriverClass): void {
  function opened(t: TestContext): Driver {
    const driver = construct();
    t.after(() => driver.close());
    return driver;
  }

  /** A record with these fields is refused, alone and over one that is stored, which stays as it was. */
  async function refusesRecord(t: TestContext, fields: object, ...messages: RegExp[]): Promise<void> {
    const driver = opened(t);
    await driver.updateSession(record());
    await refused(() => driver.updateSession({ ...record(), ...fields }), ...messages);
    assert.deepEqual(await driver.listSessions(), { items: [record()] });
  }

  /** An event with these fields is refused, and nothing stored. */
  async function refusesEvent(t: TestContext, fields: object, ...messages: RegExp[]): Promise<void> {
    const driver = opened(t);
    const given = { ...event({ payload: { secret: SECRET } as never }), ...fields };
    await refused(() => driver.insertEvent("s", given), ...messages);
    assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [] });
  }

  describe("arguments of the methods", () => {
    for (const [what, wrong, kind] of NOT_STRINGS) {
      test(`an id that is ${what} is refused`, async (t) => {
        const driver = opened(t);
        await refused(() => driver.getSession(wrong as string), /^id must be a string, it is /, kind);
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

  describe("fields of a record", () => {
    for (const field of ["id", "agent", "agentSessionId", "lastConnectionId", "sandboxId"] as const) {
      for (const [what, wrong, message] of NOT_STRING_FIELDS) {
        if (field === "sandboxId" && stringified(wrong) === undefined) continue;
        test(`${field} that is ${what} is refused`, (t) =>
          refusesRecord(t, { [field]: wrong }, named("session", field), message));
      }
    }

    for (const field of ["createdAt", "destroyedAt"] as const) {
      for (const [what, wrong, message] of NOT_INTEGER_FIELDS) {
        if (field === "destroyedAt" && stringified(wrong) === undefined) continue;
        test(`${field} that is ${what} is refused`, (t) =>
          refusesRecord(t, { [field]: wrong }, named("session", field), message));
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
      test(`a BigInt in ${field} is refused`, (t) =>
        refusesRecord(t, { [field]: 5n }, /^session cannot be turned into JSON/));
    }

    test("a field name with a lone surrogate is refused", (t) =>
      refusesRecord(
        t,
        { [`${SECRET}\ud800`]: 1 },
        /^the session must be an object whose field names are well-formed text$/,
      ));
  });

  describe("fields of an event", () => {
    for (const field of ["id", "sessionId", "connectionId", "sender"] as const) {
      for (const [what, wrong, message] of NOT_STRING_FIELDS) {
        test(`${field} that is ${what} is refused`, (t) =>
          refusesEvent(t, { [field]: wrong }, named("event", field), message));
      }
    }

    for (const field of ["eventIndex", "createdAt"] as const) {
      for (const [what, wrong, message] of NOT_INTEGER_FIELDS) {
        test(`${field} that is ${what} is refused`, (t) =>
          refusesEvent(t, { [field]: wrong }, named("event", field), message));
      }
    }

    for (const index of [-1, -Number.MAX_SAFE_INTEGER]) {
      test(`the index ${index} is refused`, (t) =>
        refusesEvent(
          t,
          { eventIndex: index },
          new RegExp(`^event\\.eventIndex must not be negative, it is ${index}$`),
        ));
    }

    test("the index -0 is 0", async (t) => {
      const driver = opened(t);
      await driver.insertEvent("s", event({ eventIndex: -0 }));
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [event({ eventIndex: 0 })] });
    });

    for (const sender of ["", "user", "Client", "agent ", SECRET]) {
      test(`the sender ${JSON.stringify(sender)} is refused`, (t) =>
        refusesEvent(t, { sender }, /^event\.sender must be "client" or "agent"$/));
    }

    for (const [what, payload] of [
      ["undefined", undefined],
      ["a function", () => SECRET],
      ["a symbol", Symbol(SECRET)],
    ] as const) {
      test(`a payload that is ${what} is refused`, (t) =>
        refusesEvent(t, { payload }, /^event\.payload must be a JSON value, it is nothing$/));
    }

    test("a payload that is left out is refused", async (t) => {
      const driver = opened(t);
      const { payload: _, ...rest } = event();
      await refused(() => driver.insertEvent("s", rest as SessionEvent), /^event\.payload must be a JSON value/);
    });

    for (const field of ["id", "eventIndex", "payload", "unknown"]) {
      test(`a BigInt in ${field} is refused`, (t) =>
        refusesEvent(t, { [field]: 5n }, /^event cannot be turned into JSON/));
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

    test("a field name with a lone surrogate is refused", (t) =>
      refusesEvent(
        t,
        { [`${SECRET}\ud800`]: 1 },
        /^the event must be an object whose field names are well-formed text$/,
      ));
  });

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
      test(`a toJSON that throws ${what} rejects`, async (t) => {
        const payload = { toJSON() { throw value; } }; // prettier-ignore
        await refusesEvent(t, { payload }, /^event cannot be turned into JSON text/);
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
        await refusesEvent(t, { toJSON: () => returned }, message);
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

export type Refusal = TypeError & { code: string };

/** The call must return a promise, which rejects for wrong arguments, with messages that match. */
export async function refused(call: () => Promise<unknown>, ...messages: RegExp[]): Promise<Refusal> {
  const promise = call();
  assert.ok(promise instanceof Promise);
  const error = await promise.then(
    () => assert.fail("it was not refused"),
    (error: unknown) => error,
  );
  return checked(error, messages);
}

/** As `refused`, for the constructor, which throws. */
export function thrown(construct: () => Driver, ...messages: RegExp[]): Refusal {
  let driver: Driver;
  try {
    driver = construct();
  } catch (error) {
    return checked(error, messages);
  }
  void driver.close();
  assert.fail("it was not refused");
}

function checked(error: unknown, messages: RegExp[]): Refusal {
  assert.ok(error instanceof TypeError, `not a TypeError: ${error}`);
  assert.equal((error as Refusal).code, "ERR_PERSIST_INVALID_ARGUMENT", error.message);
  for (const message of messages) assert.match(error.message, message);
  assert.ok(!error.message.includes(SECRET), "the message shows a value");
  assert.ok(error.stack?.includes(error.message), "no stack");
  return error as Refusal;
}

export function record(fields: Partial<SessionRecord> = {}): SessionRecord {
  return { id: "s", agent: "mock", agentSessionId: "a", lastConnectionId: "c", createdAt: 1, ...fields };
}

export function event(fields: Partial<SessionEvent> = {}): SessionEvent {
  return {
    id: "e",
    eventIndex: 1,
    sessionId: "s",
    createdAt: 1,
    connectionId: "c",
    sender: "agent",
    payload: {} as SessionEvent["payload"],
    ...fields,
  };
}

function named(what: string, field: string): RegExp {
  return new RegExp(`^${what}\\.${field} must be `);
}

/** What JSON makes of a field's value: undefined when it leaves the field out, or makes it null. */
function stringified(value: unknown): string | undefined {
  const text = JSON.stringify({ value });
  return text === "{}" || text === '{"value":null}' ? undefined : text;
}

export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "object" && value !== null
    ? `a ${value.constructor.name}`
    : `${typeof value} ${String(value)}`;
}
