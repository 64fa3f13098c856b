/** Values: whatever JSON can say comes back as it went in, whether messages say such things or not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { SessionPersistDriver, SessionRecord } from "sandbox-agent";
import type { ContractDriver, Suite } from "./driver.mts";
import { event, indexes, present, range, record } from "./records.mts";

/** No message of the protocol is like these. */
const PAYLOADS: [string, unknown][] = [
  ["an empty object", {}],
  ["a payload that is an array", [[], [[]], {}, [null]]],
  ["a payload that is a string", "just text"],
  ["a payload that is an empty string", ""],
  ["a payload that is a number", 0],
  ["a payload that is false", false],
  ["a payload that is null", null],
  ["a payload with 10,000 keys", Object.fromEntries(range(0, 10_000).map((n) => [`key ${n}`, n]))],
];

/** Every UTF-16 unit by itself: pairs are rare, so nearly all surrogates are lone. NUL and quotes come more often. */
const anyUnit = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) },
  { weight: 2, arbitrary: fc.constantFrom("\u0000", '"', "\\", "\ud800", "\udc00", "a", "__proto__") },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }) },
);
/** As JSON has it: -0, which JSON does not have, is a case of its own. */
const anyJson = fc.jsonValue({ stringUnit: anyUnit, maxDepth: 4 }).map(present);

/** Ids and names go into text columns, so they are well formed; what is JSON may hold anything. */
const anyName = fc.string({ unit: "grapheme", maxLength: 12 });
const anyTime = fc.maxSafeInteger();
const anyRecord: fc.Arbitrary<SessionRecord> = fc
  .record(
    {
      id: anyName,
      agent: anyName,
      agentSessionId: anyName,
      lastConnectionId: anyName,
      createdAt: anyTime,
      destroyedAt: anyTime,
      sandboxId: anyName,
      sessionInit: fc.dictionary(fc.string({ unit: anyUnit }), anyJson),
      configOptions: fc.array(anyJson, { maxLength: 3 }),
      modes: fc.option(fc.dictionary(fc.string({ unit: anyUnit }), anyJson)),
      fromNewerSdk: anyJson,
    },
    { requiredKeys: ["id", "agent", "agentSessionId", "lastConnectionId", "createdAt"] },
  )
  .map((any) => ({ ...any }) as unknown as SessionRecord);

export function values({ name, fresh }: Suite): void {
  describe(`${name}: values`, () => {
    for (const [what, payload] of PAYLOADS) {
      test(`${what} comes back equal`, async (t) => {
        const driver = await fresh(t);
        assertSame(await roundTrip(driver, payload), payload);
      });
    }

    test("an own __proto__ key of a record comes back as an own key", async (t) => {
      const driver = await fresh(t);
      const given = { ...JSON.parse('{"__proto__":{"polluted":true}}'), ...record("s") };
      Object.defineProperty(given, "__proto__", { value: { polluted: true }, enumerable: true });
      await driver.updateSession(given);
      const read = present(await driver.getSession("s"));
      assert.deepEqual(Object.getOwnPropertyDescriptor(read, "__proto__")?.value, { polluted: true });
      assert.equal((read as { polluted?: boolean }).polluted, undefined);
    });

    test("-0 comes back as 0, as JSON has it", async (t) => {
      const driver = await fresh(t);
      assert.deepEqual(await roundTrip(driver, { n: -0, list: [-0] }), { n: 0, list: [0] });
    });

    test("what JSON leaves out is left out: undefined, functions, symbols; toJSON is heeded", async (t) => {
      const driver = await fresh(t);
      const payload = { u: undefined, f() {}, s: Symbol("s"), list: [undefined, NaN], at: new Date(0), map: new Map() };
      assert.deepEqual(await roundTrip(driver, payload), {
        list: [null, null],
        at: "1970-01-01T00:00:00.000Z",
        map: {},
      });
    });

    test("3,000 levels of nesting come back equal", async (t) => {
      const driver = await fresh(t);
      for (const [before, after] of [
        ["[", "]"],
        ['{"a":', "}"],
      ] as const) {
        const text = `${before.repeat(3000)}1${after.repeat(3000)}`;
        // The text is compared: comparing the values would itself recurse too deep.
        assert.ok(JSON.stringify(await roundTrip(driver, { deep: JSON.parse(text) })) === `{"deep":${text}}`);
      }
    });

    test("very deep nesting comes back equal or is a rejection, and the driver goes on", async (t) => {
      const driver = await fresh(t);
      const deep = JSON.parse(`${"[".repeat(200_000)}${"]".repeat(200_000)}`);
      const refused = await driver.insertEvent("s", event("s", 1, { deep })).catch((error: unknown) => error);
      if (refused) assert.ok(refused instanceof Error);
      // Only newer engines turn such a value into text.
      else assert.ok(JSON.stringify((await payloads(driver))[0]) === JSON.stringify({ deep }));
      await driver.insertEvent("s", event("s", 2));
      assert.equal(indexes(await driver.listEvents({ sessionId: "s" })).at(-1), 2);
    });

    test("any JSON value comes back equal, key order and lone surrogates included", async (t) => {
      const driver = await fresh(t);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(anyJson, fc.boolean(), async (payload, nested) => {
          const given = nested ? { payload } : payload;
          assertSame(await roundTrip(driver, given, `s${run++}`), given);
        }),
        { numRuns: 300 },
      );
    });

    test("any record comes back equal", async (t) => {
      const driver = await fresh(t);
      await fc.assert(
        fc.asyncProperty(anyRecord, async (given) => {
          await driver.updateSession(given);
          assert.deepEqual(present(await driver.getSession(given.id)), present(given));
        }),
        { numRuns: 300 },
      );
    });
  });
}

async function roundTrip(driver: ContractDriver, payload: unknown, sessionId = "s"): Promise<unknown> {
  const { items: before } = await driver.listEvents({ sessionId });
  await driver.insertEvent(sessionId, event(sessionId, before.length, payload));
  const { items } = await driver.listEvents({ sessionId });
  assert.equal(items.length, before.length + 1);
  return items.at(-1)!.payload;
}

/** Equal as values, and as JSON text: the text also shows the order of keys and keys such as `__proto__`. */
function assertSame(actual: unknown, expected: unknown): void {
  assert.deepEqual(actual, expected);
  assert.equal(JSON.stringify(actual), JSON.stringify(expected));
}

async function payloads(driver: SessionPersistDriver): Promise<unknown[]> {
  return (await driver.listEvents({ sessionId: "s" })).items.map(({ payload }) => payload);
}
