// Comparing what a driver gives with what it was given.
import assert from "node:assert/strict";

/** Equal as JSON has it: a field that is undefined is as good as none, and objects may be of another realm, as in jest. */
export function assertSame(actual: unknown, expected: unknown): void {
  assert.deepEqual(plain(actual), plain(expected));
}

/** Equal to the letter, the order of keys included. */
export function assertSameText(actual: unknown, expected: unknown): void {
  assert.equal(JSON.stringify(actual), JSON.stringify(expected));
}

function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
