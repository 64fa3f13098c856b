// What the native code makes values with: the `JSON` and the errors of the realm that loaded the package, so that
// `error instanceof TypeError` holds for the caller, also where each test file has a realm of its own.
//
// They are taken when the package is loaded: what a program puts on `JSON` or `Error` later changes nothing here, nor do the
// timers of a test.
import timers from "node:timers";

import type { CopyDifference } from "./copy.ts";
import type { PersistErrorCode } from "./errors.ts";
import type { NativeDriver } from "./addon.ts";
import { publish } from "./channels.ts";
import { askPassword, failureOf, forgetFailure } from "./password.ts";

const { stringify, parse } = JSON;
const { setImmediate } = timers;
const { defineProperty, entries } = Object;
const OwnError = Error;
const OwnTypeError = TypeError;

/** What an error of this package may have beside its code and message. */
interface Details {
  /** The database's own code. */
  sqliteCode?: string;
  sqlState?: string;
  /** The database's own error, or what the caller's code threw. */
  cause?: unknown;
  /** Sessions that were not copied. */
  differences?: CopyDifference[];
}

/** An error with its `code`: the only way an error of this package is made. */
export function createError(code: PersistErrorCode, message: string, details: Details = {}): Error {
  const error = code === "ERR_PERSIST_INVALID_ARGUMENT" ? new OwnTypeError(message) : new OwnError(message);
  OwnError.captureStackTrace?.(error, createError);
  define(error, "code", code);
  for (const [name, value] of entries(details)) define(error, name, value);
  return error;
}

/** What Node's own iterators reject with when their signal is aborted. */
export function abortError(cause: unknown): Error {
  const error = new OwnError("The operation was aborted");
  OwnError.captureStackTrace?.(error, abortError);
  for (const [name, value] of entries({ name: "AbortError", code: "ABORT_ERR", cause })) define(error, name, value);
  return error;
}

/** The `cause` of an error that the database caused. */
function databaseError(message: string): Error {
  return new OwnError(message);
}

/** Defined, not set: a setter that somebody put on `Object.prototype` must not run, or throw, here. */
function define(error: Error, name: string, value: unknown): void {
  defineProperty(error, name, { value, writable: true, enumerable: true, configurable: true });
}

/**
 * Has the driver send what is written in this turn of the event loop, after those who wait to go on in it already. `await`
 * needs no `then`, which a program may have replaced.
 */
async function sendAfterTurn(driver: NativeDriver): Promise<void> {
  await undefined;
  driver.send();
}

export const realm = {
  stringify,
  parse,
  createError,
  databaseError,
  askPassword,
  failureOf,
  forgetFailure,
  setImmediate,
  sendAfterTurn,
  publish,
};
