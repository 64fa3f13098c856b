// What the native code makes values with: the `JSON` and the errors of the realm that loaded the package, so that
// `error instanceof TypeError` holds for the caller, also where each test file has a realm of its own.
//
// They are taken when the package is loaded: what a program puts on `JSON` or `Error` later changes nothing here, nor do the
// timers of a test.
import timers from "node:timers";

import type { PersistErrorCode } from "./errors.ts";
import type { NativeDriver } from "./native.ts";
import { askPassword, failureOf, forgetFailure } from "./password.ts";

const { stringify, parse } = JSON;
const { setImmediate } = timers;
const { defineProperty } = Object;
const OwnError = Error;
const OwnTypeError = TypeError;

/** An error with its `code`, and what the database said: the only way an error of this package is made. */
export function createError(
  code: PersistErrorCode,
  message: string,
  databaseMessage?: string,
  sqliteCode?: string,
  sqlState?: string,
  ...thrown: [] | [cause: unknown]
): Error {
  const error = code === "ERR_PERSIST_INVALID_ARGUMENT" ? new OwnTypeError(message) : new OwnError(message);
  OwnError.captureStackTrace?.(error, createError);
  define(error, "code", code);
  if (sqliteCode !== undefined) define(error, "sqliteCode", sqliteCode);
  if (sqlState !== undefined) define(error, "sqlState", sqlState);
  if (databaseMessage !== undefined) define(error, "cause", new OwnError(databaseMessage));
  if (thrown.length > 0) define(error, "cause", thrown[0]);
  return error;
}

/** Defined, not set: a setter that somebody put on `Object.prototype` must not run, or throw, here. */
function define(error: Error, name: string, value: unknown): void {
  defineProperty(error, name, { value, writable: true, enumerable: true, configurable: true });
}

const resolved = Promise.resolve();

/** Has the driver send what is written in this turn of the event loop, after those who wait to go on in it already. */
function sendAfterTurn(driver: NativeDriver): void {
  void resolved.then(() => driver.send());
}

export const realm = {
  stringify,
  parse,
  createError,
  askPassword,
  failureOf,
  forgetFailure,
  setImmediate,
  sendAfterTurn,
};
