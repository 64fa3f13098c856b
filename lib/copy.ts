// Copies sessions from any driver of the SDK's interface into one of ours.
import type { SessionEvent } from "sandbox-agent" with { "resolution-mode": "import" };

import type { NativeCopied, NativeCopying, NativeDriver } from "./addon.ts";
import { call, isDriver, nativeOf, PersistDriver } from "./driver.ts";
import { finish } from "./job.ts";
import { Copying } from "./native.ts";
import type { WorkOptions } from "./operations.ts";
import type { PostgresSessionPersistDriver } from "./postgres.ts";
import { createError, realm } from "./realm.ts";
import { eventsOf, sessionsByIds, sessionsOf, type SessionSource } from "./source.ts";
import type { SQLiteSessionPersistDriver } from "./sqlite.ts";

export type { SessionSource };

/** How far `copySessions` is. */
export interface CopyProgress {
  /** How many sessions of the source are dealt with. */
  sessions: number;
  /** How many events of the source are read. */
  events: number;
  /** How many bytes of JSON text these events have. */
  bytes: number;
  /** How many sessions are left as they are, since the target has them otherwise. */
  different: number;
}

/** What `copySessions` has copied. */
export interface CopyResult {
  /** How many sessions have something now that they did not have before. */
  sessions: number;
  /** How many events were stored. */
  events: number;
}

/** A session that `copySessions` has left as it is: an item of `differences` of its error. */
export interface CopyDifference {
  /** The session. */
  sessionId: string;
  /**
   * How the target's session is different. `"hasMore"`: it went on after the source's last event. `"otherEvents"`: it has another event at
   * some place, or none; it went on by itself, or was compacted or pruned. `"refused"`: the target refuses what the source has.
   * `"changedMeanwhile"`: somebody has changed it while it was copied, here or in the source, where that is a driver of this package.
   */
  reason: "hasMore" | "otherEvents" | "refused" | "changedMeanwhile";
  /** The same in words, and what to do. */
  message: string;
}

/** The options of `copySessions`. All may be left out. */
export interface CopySessionsOptions extends WorkOptions<CopyProgress> {
  /**
   * The ids of the sessions to copy. One that the source has no record of is an error.
   *
   * @default all sessions
   */
  sessions?: readonly string[];
}

/** How much text is handed over at once, about, and how many events at most. */
const LENGTH_AT_ONCE = 1 << 20;
const EVENTS_AT_ONCE = 5_000;

/**
 * Copies sessions from any driver of the SDK's interface into an SQLite file or a Postgres database: those that were kept in memory, in
 * IndexedDB, in a Rivet actor or by a driver of your own. The source is only read, 500 items a page. Resolves once all is on disk.
 *
 * Call it again at any time: what the target has already is compared, and only what is missing is added. So a copy that was killed goes
 * on, one of a source that has grown adds what is new, and a second one changes nothing. A session of a few megabytes is stored at once
 * or not at all; a longer one gets its record with its last events. Where the target has another record, the source's takes its place.
 *
 * A session that the target has with other events, or with more, is left as it is, and never mixed: it went on there, or was compacted or
 * pruned. All others are copied, and then the promise rejects.
 *
 * Everything is kept as the source gives it: ids, indexes, times, payloads, fields that nobody knows. Where the source is a
 * driver of this package, even the JSON text is the same, and labels come along. Only where a source has several events at one index,
 * as drivers without a unique index have after two writers met, do they get an index each, one after the other.
 *
 * @param source where the sessions are. Only `getSession`, `listSessions` and `listEvents` are called.
 * @param target a driver of this package. Methods that a class made of it overrides are not called.
 * @throws `ERR_PERSIST_INDEX_CONFLICT` when sessions were left as they are. Its `differences` says which, and why (`CopyDifference`),
 * of the first 1,000: also those with something that is no event. `ERR_PERSIST_NOT_FOUND` when the source has no record of a session of
 * `options.sessions`: nothing is copied then. `ERR_PERSIST_INVALID_ARGUMENT` when the source gives no pages, or pages without an end, or does
 * not list events by index. `AbortError` when `signal` is aborted. What the source throws, as it is; what `insertEvent` throws.
 * @example
 * ```ts
 * import { InMemorySessionPersistDriver } from "sandbox-agent";
 * import { SQLiteSessionPersistDriver, copySessions } from "sandbox-agent-persist";
 *
 * const source = new InMemorySessionPersistDriver();
 * await using target = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
 * const { sessions, events } = await copySessions(source, target, {
 *   onProgress: ({ sessions, events }) => console.log(`${sessions} sessions, ${events} events`),
 * });
 * ```
 */
export function copySessions(
  source: SessionSource,
  target: SQLiteSessionPersistDriver | PostgresSessionPersistDriver,
  options?: CopySessionsOptions,
): Promise<CopyResult> {
  if (!isDriver(target)) return refused("target must be a driver of this package, and no Proxy of one");
  if (!isSource(source)) return refused("source must have the methods getSession, listSessions and listEvents");
  return call(target, "copySessions", (native) => copied(source, native, options));
}

async function copied(
  source: SessionSource,
  target: NativeDriver,
  options: CopySessionsOptions | undefined,
): Promise<CopyResult> {
  const ids = idsOf(options);
  const native = nativeSourceOf(source);
  if (native) await checkAllThere(source, ids);
  const reading: Reading = { isOver: false };
  const begin = () => {
    if (native) return Copying.between(native, target, options, ids);
    const copying = Copying.of(target, options);
    void handOver(source, ids, copying, reading);
    return copying;
  };
  try {
    return resultOf(await finish(begin, options));
  } catch (error) {
    // What the source threw has ended the copy.
    throw reading.failure ? reading.failure.error : error;
  } finally {
    reading.isOver = true;
  }
}

/** The native part of a driver of ours. Of one that reads in another way, as an own class made of it may, there is none. */
function nativeSourceOf(source: SessionSource): NativeDriver | undefined {
  if (!isDriver(source)) return undefined;
  const reading = ["getSession", "listSessions", "listEvents", "getLabels"] as const;
  const isPlain = reading.every((method) => source[method] === PersistDriver.prototype[method]);
  return isPlain ? nativeOf(source) : undefined;
}

/** Reading of a source that goes on beside the copy. */
interface Reading {
  /** Nobody wants it to go on. */
  isOver: boolean;
  failure?: { error: unknown };
}

/** Reads the source, and hands over what it has. While one page is stored, the next is read. It never rejects. */
async function handOver(
  source: SessionSource,
  ids: string[] | undefined,
  copying: NativeCopying,
  reading: Reading,
): Promise<void> {
  // Whoever has begun it listens to the caller's signal first.
  await undefined;
  try {
    await checkAllThere(source, ids);
    for await (const record of ids ? sessionsByIds(source, ids) : sessionsOf(source)) {
      const { id } = record;
      const labels = isDriver(source) ? await source.getLabels(id) : undefined;
      await copying.handSession(id, textOf(record, "a session"), labels);
      for await (const page of eventsOf(source, id)) {
        for (const texts of textsOf(page)) {
          await copying.handEvents(texts);
          if (reading.isOver) return;
        }
      }
      if (reading.isOver) return;
    }
    await copying.handEnd();
  } catch (error) {
    reading.failure = { error };
    copying.end();
  }
}

/** Before anything is copied: a mistyped id should not be found after hours. */
async function checkAllThere(source: SessionSource, ids: string[] = []): Promise<void> {
  for await (const _ of sessionsByIds(source, ids));
}

/** The texts of events, so many at once as are handed over. */
function* textsOf(events: SessionEvent[]): Generator<string[]> {
  let texts: string[] = [];
  let length = 0;
  for (const event of events) {
    const text = textOf(event, "an event");
    texts.push(text);
    length += text.length;
    if (length < LENGTH_AT_ONCE && texts.length < EVENTS_AT_ONCE) continue;
    yield texts;
    texts = [];
    length = 0;
  }
  if (texts.length > 0) yield texts;
}

function textOf(value: object, what: string): string {
  let text: string | undefined;
  let cause: unknown;
  try {
    text = realm.stringify(value);
  } catch (error) {
    cause = error;
  }
  if (text !== undefined) return text;
  throw createError(
    "ERR_PERSIST_INVALID_ARGUMENT",
    `${what} of the source cannot be turned into JSON text${cause === undefined ? "" : " (see `cause`)"}`,
    cause === undefined ? {} : { cause },
  );
}

function resultOf({ sessions, events, different, differences }: NativeCopied): CopyResult {
  if (different === 0) return { sessions, events };
  const [{ message } = { message: "" }] = differences;
  const others = different === 1 ? "" : ` (and ${different - 1} more: see \`differences\`)`;
  throw createError(
    "ERR_PERSIST_INDEX_CONFLICT",
    `${different} of the sessions were not copied, all others were: ${message}${others}`,
    { differences },
  );
}

function idsOf(options: CopySessionsOptions | undefined): string[] | undefined {
  let ids: unknown;
  try {
    ids = options?.sessions;
    if (ids === undefined) return undefined;
    // A text would be taken for the ids of its letters.
    if (isArray(ids) && ids.every((id) => typeof id === "string")) return [...new Set<string>(ids)];
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "reading the field sessions threw (see `cause`)", { cause });
  }
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", "options.sessions must be an array of the ids of sessions");
}

function isSource(source: unknown): source is SessionSource {
  if (typeof source !== "object" || source === null) return false;
  const { getSession, listSessions, listEvents } = source as Record<string, unknown>;
  return [getSession, listSessions, listEvents].every((method) => typeof method === "function");
}

async function refused(message: string): Promise<never> {
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", message);
}

const { isArray } = Array;
