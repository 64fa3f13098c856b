// Values: what messages say comes back equal.
import type { Case } from "../case.ts";
import { event, eventsOf, FULL, message, range } from "../records.ts";
import { assertSame } from "../same.ts";

/** A case for messages that say something. */
export function comesBack(what: string, otherwise: string, params: unknown[]): Case {
  return {
    promise: `${what} in messages comes back equal`,
    otherwise,
    facts: [2],
    async check(store) {
      const driver = await store.open();
      const given = params.map((each, at) => event("s", at + 1, { payload: message(each) }));
      for (const each of given) await driver.insertEvent("s", each);
      assertSame(await eventsOf(driver, "s"), given);
    },
  };
}

export const values: Case[] = [
  comesBack("text of any script, with emoji", "agents that do not speak English are misquoted", [
    { text: "👩‍👩‍👧‍👦 🇩🇪 é e\u0301 日本 \u202eabc", "🙂": "\ufeff\ufffe\uffff", long: "日本é".repeat(400) },
  ]),
  comesBack("every control character but NUL", "what a terminal or a test run prints is lost, or cut off", [
    { text: String.fromCharCode(...range(1, 0xa0)), line: "\u2028\u2029", lines: "a\r\nb\n" },
  ]),
  comesBack("text with quotes, backslashes and what looks like JSON or SQL", "code that agents write is lost or runs", [
    { text: '\\"\\u0041{"a":[1,2]}\\/', '"': "'", sql: "'); DROP TABLE events; --", json: "null", number: "007" },
  ]),
  comesBack("every kind of JSON value", "a message says null, false or nothing where it said another of them", [
    { nothing: null, yes: true, no: false, zero: 0, empty: "", list: [], object: {}, deep: [[[]], [{}], [null]] },
  ]),
  comesBack("any number that JavaScript has", "counts of tokens and prices are off", [
    { big: 1e21, huge: Number.MAX_VALUE, small: 5e-324, third: 1 / 3, tenth: 0.1 + 0.2, unsafe: 2 ** 53, minus: -1.5 },
    { numbers: [2 ** 31, -(2 ** 31) - 1, 2 ** 63, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER] },
  ]),
  comesBack("a megabyte", "what an agent reads from a file, or says of an image, is lost", [
    { text: "0123456789 abcdef é€😀\n".repeat(2 ** 15) },
  ]),
  {
    promise: "what a record holds as JSON comes back equal",
    otherwise: "a resumed session starts its servers with other arguments, or offers other options",
    async check(store) {
      const driver = await store.open();
      const env = [{ name: "TEXT", value: 'é 😀 "quoted" \\ \u0001' }];
      const given = {
        ...FULL,
        sessionInit: {
          cwd: "/srv/日本",
          mcpServers: [{ name: "files", command: "/bin/files", args: ["--all", ""], env }],
        },
        modes: { currentModeId: "plan", availableModes: [{ id: "plan", name: "Plan", description: null }] },
      };
      await driver.updateSession(given);
      assertSame(await driver.getSession(given.id), given);
    },
  },
];
