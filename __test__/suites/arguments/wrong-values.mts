/** Values of every wrong type, and the words in which a message says what each is. */

/** Stands in payloads and wrong fields; no message may show it. */
export const SECRET = "sk-secret-0123456789";

export const NOT_STRINGS: [string, unknown, RegExp][] = [
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
export const NOT_STRING_FIELDS: [string, unknown, RegExp][] = [
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
export const NOT_INTEGER_FIELDS: [string, unknown, RegExp][] = [
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

/** What JSON makes of a field's value: undefined when it leaves the field out, or makes it null. */
export function stringified(value: unknown): string | undefined {
  const text = JSON.stringify({ value });
  return text === "{}" || text === '{"value":null}' ? undefined : text;
}

export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "object" && value !== null
    ? `a ${value.constructor.name}`
    : `${typeof value} ${String(value)}`;
}
