// The groups of cases: those that every driver is held to, and those that it may leave out, by name.
import type { Case } from "./case.ts";
import { cursorsUnderWrites } from "./cases/cursors-under-writes.ts";
import { deepCopies } from "./cases/deep-copies.ts";
import { durable } from "./cases/durable.ts";
import { events } from "./cases/events.ts";
import { exactJson } from "./cases/exact-json.ts";
import { largeValues } from "./cases/large-values.ts";
import { pages } from "./cases/pages.ts";
import { retries } from "./cases/retries.ts";
import { sessions } from "./cases/sessions.ts";
import { severalWriters } from "./cases/several-writers.ts";
import { unknownFields } from "./cases/unknown-fields.ts";
import { values } from "./cases/values.ts";

/**
 * A group of cases that a driver may leave out:
 *
 * - `"durable"`: what was stored is found by a driver that is opened later.
 * - `"several writers"`: two drivers are open on one store, as in two processes.
 * - `"exact JSON"`: `\u0000`, lone surrogates, keys such as `__proto__`, and the order of keys come back as they went in.
 * - `"cursors under writes"`: a row that comes in before a cursor makes no other row repeat or be skipped.
 * - `"retries"`: an event that is inserted again under its id is stored once.
 * - `"deep copies"`: what a caller changes inside a record that it has written or read does not change the store.
 * - `"unknown fields"`: fields that a newer SDK adds to records and events are kept.
 * - `"large values"`: a message of 32 MiB, and one of 1,000 levels.
 */
export type OptionalGroup =
  | "durable"
  | "several writers"
  | "exact JSON"
  | "cursors under writes"
  | "retries"
  | "deep copies"
  | "unknown fields"
  | "large values";

export const REQUIRED: Record<string, Case[]> = { sessions, events, pages, values };

export const OPTIONAL: Record<OptionalGroup, Case[]> = {
  durable,
  "several writers": severalWriters,
  "exact JSON": exactJson,
  "cursors under writes": cursorsUnderWrites,
  retries,
  "deep copies": deepCopies,
  "unknown fields": unknownFields,
  "large values": largeValues,
};
