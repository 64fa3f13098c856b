/** What compaction may not be asked for. */
import { describe, test } from "node:test";
import type { Drivers } from "./drivers.mts";
import { refused } from "./refusals.mts";
import { NOT_OBJECTS, NOT_STRINGS } from "./wrong-values.mts";

export function compaction({ opened }: Drivers): void {
  describe("compaction", () => {
    for (const [what, wrong, kind] of NOT_STRINGS) {
      test(`the id of a session that is ${what} is refused`, async (t) => {
        await refused(() => opened(t).compactSession(wrong as string), /^id must be a string, it is /, kind);
      });
    }

    for (const [what, wrong, kind] of NOT_OBJECTS) {
      if (wrong === undefined || wrong === null) continue;
      test(`options that are ${what} are refused`, async (t) => {
        const driver = opened(t);
        for (const call of [
          () => driver.compactSession("s", wrong as never),
          () => driver.compactSessions(wrong as never),
        ]) {
          await refused(call, /^options must be an object, it is /, kind);
        }
      });
    }

    for (const [what, options, message] of [
      ["a dryRun that is text", { dryRun: "yes" }, /^options\.dryRun must be a boolean, it is a string$/],
      ["a dryRun that is null", { dryRun: null }, /^options\.dryRun must be a boolean, it is null$/],
      ["an onProgress that is no function", { onProgress: 1 }, /^options\.onProgress must be a function$/],
      ["a signal that is none", { signal: {} }, /^options\.signal must be an AbortSignal/],
    ] as const) {
      test(`options with ${what} are refused`, async (t) => {
        const driver = opened(t);
        await refused(() => driver.compactSession("s", options as never), message);
        await refused(() => driver.compactSessions(options as never), message);
      });
    }

    for (const [what, options, message] of [
      [
        "a time that is a Date",
        { idleBefore: new Date() },
        /^options\.idleBefore must be an integer, it is an object$/,
      ],
      ["a time that is NaN", { destroyedBefore: NaN }, /^options\.destroyedBefore must be an integer .* NaN$/],
      ["a label that is undefined", { labels: { a: undefined } }, /^options\.labels\["a"\] must be a string, it is /],
      ["labels that are text", { labels: "a" }, /^options\.labels must be an object, it is a string$/],
      [
        "a field of another name",
        { keepLastEvents: 1 },
        /^options\.keepLastEvents is not a field of compactSessions; the fields are destroyedBefore, idleBefore, labels, dryRun, onProgress, signal$/,
      ],
    ] as const) {
      test(`options of many sessions with ${what} are refused`, async (t) => {
        await refused(() => opened(t).compactSessions(options as never), message);
      });
    }

    test("conditions are not for one session", async (t) => {
      await refused(
        () => opened(t).compactSession("s", { idleBefore: 1 } as never),
        /^options\.idleBefore is not a field of compactSession; the fields are dryRun, onProgress, signal$/,
      );
    });
  });
}
