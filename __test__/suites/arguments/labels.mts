/** What labels may not be. */
import { describe, test } from "node:test";
import type { Drivers } from "./drivers.mts";
import { refused } from "./refusals.mts";
import { NOT_OBJECTS, NOT_STRINGS, SECRET } from "./wrong-values.mts";

export function labels({ opened }: Drivers): void {
  describe("labels", () => {
    for (const [what, wrong, kind] of NOT_STRINGS) {
      test(`the id of a session that is ${what} is refused`, async (t) => {
        const driver = opened(t);
        await refused(() => driver.getLabels(wrong as string), /^sessionId must be a string, it is /, kind);
        await refused(() => driver.setLabels(wrong as string, {}), /^sessionId must be a string, it is /, kind);
      });

      if (wrong === undefined || wrong === null) continue;
      test(`a value that is ${what} is refused`, async (t) => {
        const labels = { user: wrong as string };
        await refused(() => opened(t).setLabels("s", labels), /^labels\["user"\] must be a string, it is /, kind);
      });
    }

    for (const [what, wrong, kind] of NOT_OBJECTS) {
      test(`labels that are ${what} are refused`, async (t) => {
        await refused(() => opened(t).setLabels("s", wrong as never), /^labels must be an object, it is /, kind);
      });
    }

    for (const [what, labels, message] of [
      ["an empty name", { "": "x" }, /^a label's name must have 1 to 128 bytes, and no U\+0000; "" has 0$/],
      ["a name of 129 bytes", { ["é".repeat(64) + "x"]: "x" }, /"é+x" has 129$/],
      ["a name with U+0000", { "a\0b": "x" }, /^a label's name must have 1 to 128 bytes, and no U\+0000/],
      ["a name with a lone surrogate", { "\ud800": "x" }, /^the name of a label must be well-formed Unicode/],
      [
        "a value of 1,025 bytes",
        { a: SECRET.padEnd(1025) },
        /^the value of label "a" must have at most 1024 bytes.*1025$/,
      ],
      [
        "a value with U+0000",
        { a: `${SECRET}\0` },
        /^the value of label "a" must have at most 1024 bytes, and no U\+0000/,
      ],
      ["a value with a lone surrogate", { a: "\udc00" }, /^labels\["a"\] must be well-formed Unicode/],
      [
        "257 names",
        Object.fromEntries(Array.from({ length: 257 }, (_, at) => [`l${at}`, null])),
        /^one call may change 256/,
      ],
    ] as const) {
      test(`labels with ${what} are refused, and nothing is changed`, async (t) => {
        const driver = opened(t);
        await refused(() => driver.setLabels("s", { before: "x", ...labels } as Record<string, string>), message);
      });
    }

    test("what a getter or a proxy throws is the cause", async (t) => {
      const cause = new Error("thrown");
      const fails = () => {
        throw cause;
      };
      const driver = opened(t);
      for (const labels of [
        Object.defineProperty({}, "user", { get: fails, enumerable: true }),
        new Proxy({}, { ownKeys: fails }),
      ]) {
        const error = await refused(() => driver.setLabels("s", labels), /threw \(see `cause`\)/);
        if (error.cause !== cause) throw error;
      }
    });
  });
}
