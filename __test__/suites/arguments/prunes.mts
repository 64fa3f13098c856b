/** What pruning may not be asked for. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Drivers } from "./drivers.mts";
import { record, refused } from "./refusals.mts";
import { NOT_OBJECTS } from "./wrong-values.mts";

export function prunes({ opened }: Drivers): void {
  describe("pruning", () => {
    for (const [what, wrong, kind] of NOT_OBJECTS) {
      if (wrong === undefined || wrong === null) continue;
      test(`options that are ${what} are refused`, async (t) => {
        await refused(() => opened(t).pruneSessions(wrong as never), /^options must be an object, it is /, kind);
      });
    }

    const time = { idleBefore: 2 ** 40 };
    for (const [what, options, message] of [
      [
        "no condition",
        {},
        /^pruneSessions needs a condition, or it would remove every session: give options\.destroyed/,
      ],
      ["no options at all", undefined, /^pruneSessions needs a condition/],
      ["nothing but what stays", { keepLastEvents: 5 }, /\(options\.keepLastEvents says what stays, and is none\)$/],
      ["nothing but no labels", { labels: {} }, /^pruneSessions needs a condition/],
      ["a time that is text", { idleBefore: "1" }, /^options\.idleBefore must be an integer, it is a string$/],
      ["a time that is a Date", { destroyedBefore: new Date() }, /^options\.destroyedBefore must be an integer, it is an object$/], // prettier-ignore
      ["a time that is null", { ...time, destroyedBefore: null }, /^options\.destroyedBefore must be an integer, it is null$/], // prettier-ignore
      ["a time that is NaN", { idleBefore: NaN }, /^options\.idleBefore must be an integer .* NaN$/],
      ["labels that are text", { ...time, labels: "a" }, /^options\.labels must be an object, it is a string$/],
      [
        "a label that is undefined",
        { labels: { a: undefined } },
        /^options\.labels\["a"\] must be a string, it is undef/,
      ],
      ["no event to keep", { ...time, keepLastEvents: 0 }, /^options\.keepLastEvents must be at least 1, it is 0/],
      [
        "fewer events than none",
        { ...time, keepLastEvents: -1 },
        /^options\.keepLastEvents must be at least 1, it is -1/,
      ],
      ["half an event", { ...time, keepLastEvents: 1.5 }, /^options\.keepLastEvents must be an integer .* 1\.5$/],
      ["a dry run that is 1", { ...time, dryRun: 1 }, /^options\.dryRun must be a boolean, it is a number$/],
      ["progress that is text", { ...time, onProgress: "x" }, /^options\.onProgress must be a function$/],
      ["a field of another name", { ...time, dryrun: true }, /^options\.dryrun is not a field of pruneSessions; the fields are destroyedBefore, idleBefore, labels, keepLastEvents, dryRun, onProgress, signal$/], // prettier-ignore
    ] as const) {
      test(`${what}: it is refused, and nothing is removed`, async (t) => {
        const driver = opened(t);
        await driver.updateSession(record());
        await refused(() => driver.pruneSessions(options as never), message);
        assert.deepEqual(await driver.getSession("s"), record());
      });
    }
  });
}
