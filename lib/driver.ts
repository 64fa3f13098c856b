// What both drivers do: the five methods of the SDK's interface, and what a server needs around them.
import { randomUUID } from "node:crypto";

import type { ListPage, SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent" with {
  "resolution-mode": "import",
};

import { isWatched, type Method, type StoreAddress } from "./channels.ts";
import { drainAndClose, drainUntilQuiet } from "./drain.ts";
import type { NativeDriver } from "./addon.ts";
import { createError } from "./realm.ts";
import type { EventListRequest, ForkSessionOptions, SessionListRequest, TailEventsRequest } from "./requests.ts";
import { Tail } from "./tail.ts";
import { isTraced, trace, tracedCall, traceLife, type Ended, type OfSession } from "./trace.ts";

export let isDriver: (value: unknown) => value is PersistDriver;
export let nativeOf: (driver: PersistDriver) => NativeDriver;
let addressOf: (driver: PersistDriver) => StoreAddress;
let noteWrite: (driver: PersistDriver) => void;

/**
 * The methods of `SQLiteSessionPersistDriver` and `PostgresSessionPersistDriver`, which are the same.
 *
 * None of them throws: every failure is a rejected promise, with an `Error` that has a `code` (`PersistErrorCode`). Wrong
 * arguments are a `TypeError`. Where the database refused, its own message is the `cause`, and its code the `sqliteCode`
 * or `sqlState`; where the caller's own code threw (a getter, a `toJSON`), that is the `cause`.
 */
export abstract class PersistDriver implements SessionPersistDriver {
  readonly #native: NativeDriver;
  readonly #address: StoreAddress;
  /** How many writes were called. */
  #writes = 0;
  #closing: Promise<void> | undefined;
  /** Whether the native part collects what it has to tell. */
  #watched = false;

  /** @internal */
  protected constructor(native: NativeDriver) {
    this.#native = native;
    this.#address = native.address;
  }

  /**
   * Resolves once the database can be used and its tables are ready. There is no need to call it: every call waits for
   * that. It tells early whether the database can be used at all. After a failure the next call, whichever it is, tries
   * again. A Postgres server that cannot be reached, and never could, is told within two seconds, while writes go on trying
   * for `queryTimeoutMs`; one that was reached before is waited for as long.
   *
   * @throws SQLite: `ERR_PERSIST_UNAVAILABLE` (no such directory, no right), `ERR_PERSIST_CORRUPT` (not a database),
   * `ERR_PERSIST_BUSY`, `ERR_PERSIST_FULL`. Postgres: `ERR_PERSIST_UNAVAILABLE` (no server, no database, a wrong password,
   * no right), `ERR_PERSIST_TIMEOUT`. Both: `ERR_PERSIST_FOREIGN_TABLE`, `ERR_PERSIST_SCHEMA`, `ERR_PERSIST_READONLY`.
   * @example
   * ```ts
   * await persist.ready();
   * ```
   */
  ready(): Promise<void> {
    return call(this, "ready", (native) => native.ready());
  }

  /**
   * The session's record, or `undefined` when there is none.
   *
   * @example
   * ```ts
   * const record = await persist.getSession("my-session");
   * ```
   */
  getSession(id: string): Promise<SessionRecord | undefined> {
    return call(this, "getSession", (native) => native.getSession(id), id);
  }

  /**
   * A page of sessions, in order of `(createdAt, id)`: at most `limit` of them, 100 when `limit` is left out, not finite or
   * below 1. Pass `nextCursor` as `cursor` to get the next page, with the same `order` and filters; the last page has none.
   * Sessions that come or go meanwhile make no other session repeat or be skipped.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` for a field that there is none of, a value that it cannot have, and a `cursor` of
   * another list, or of another `order` or filters.
   * @example
   * ```ts
   * let cursor: string | undefined;
   * do {
   *   const page = await persist.listSessions({ limit: 50, ...(cursor && { cursor }) });
   *   for (const record of page.items) console.log(record.id);
   *   cursor = page.nextCursor;
   * } while (cursor);
   * ```
   */
  listSessions(request?: SessionListRequest): Promise<ListPage<SessionRecord>> {
    return call(this, "listSessions", (native) => native.listSessions(request));
  }

  /**
   * Stores the record, in place of the one with its id if there is one: a field that is absent now is cleared. Resolves
   * once it is on disk.
   *
   * @example
   * ```ts
   * const record = await persist.getSession("my-session");
   * if (record) await persist.updateSession({ ...record, destroyedAt: Date.now() });
   * ```
   */
  updateSession(session: SessionRecord): Promise<void> {
    return write(this, "updateSession", (native) => native.updateSession(session), session);
  }

  /**
   * A page of one session's events, in order of `eventIndex`: at most `limit` of them, 100 when `limit` is left out, not
   * finite or below 1; fewer when their JSON text would pass 256 MiB. Pass `nextCursor` as `cursor` to get the next page,
   * with the same `order` and filters; the last page has none.
   *
   * It shows every write that has resolved. On Postgres there is one exception: what others replace, delete or insert in the
   * middle of the session may be missing from a page with a `cursor`, of all events in ascending order, for half a second.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` for a field that there is none of, a value that it cannot have, and a `cursor` of
   * another list, or of another `order` or filters.
   * @example
   * ```ts
   * // The last 50 events, the newest first, and then those before them.
   * const newest = await persist.listEvents({ sessionId: "my-session", order: "desc", limit: 50 });
   * if (newest.nextCursor) {
   *   const { nextCursor: cursor } = newest;
   *   const before = await persist.listEvents({ sessionId: "my-session", order: "desc", limit: 50, cursor });
   * }
   * ```
   */
  listEvents(request: EventListRequest): Promise<ListPage<SessionEvent>> {
    return call(this, "listEvents", (native) => native.listEvents(request), request);
  }

  /**
   * Stores the event. Resolves once it is on disk. Storing the same event again, by its `id` and `eventIndex`, replaces it.
   * When another event has its index, `onEventIndexConflict` decides: by default it goes after the session's last event,
   * and so do the events of this driver that come after it and ask for less. Retry with the object that you passed: it
   * carries the index that the event is stored at.
   *
   * On Postgres a write whose connection breaks is tried again on another one until it is known to be stored, once, or
   * `queryTimeoutMs` is over.
   *
   * @throws `ERR_PERSIST_INDEX_CONFLICT` with `onEventIndexConflict: "reject"`, and with `"reassign"` when the new index
   * cannot be set on a frozen object (the event is stored then). `ERR_PERSIST_FULL` when the disk is full.
   * `ERR_PERSIST_BUSY` when 512 MiB of calls wait already, when another process held the file's lock for longer than
   * `busyTimeoutMs` (SQLite), or others held a lock on rows of the session for longer than `queryTimeoutMs` (Postgres). On Postgres `ERR_PERSIST_UNAVAILABLE` and `ERR_PERSIST_TIMEOUT` when `queryTimeoutMs` is
   * over, and it is not known whether the event is stored.
   * @example
   * ```ts
   * await persist.insertEvent(event.sessionId, event);
   * ```
   */
  insertEvent(sessionId: string, event: SessionEvent): Promise<void> {
    return write(this, "insertEvent", (native) => native.insertEvent(sessionId, event), sessionId);
  }

  /**
   * Sets labels of a session, and removes those that are `null`; all others stay. Resolves once that is on disk. The labels
   * say what the SDK's record has no field for, such as whose the session is; `updateSession` never touches them. They may be
   * set before the record exists.
   *
   * A session has at most 64 labels. A name has 1 to 128 bytes of UTF-8 and a value at most 1,024, both without U+0000. A label
   * that is `undefined` stays as it is.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when a bound is passed; then nothing is changed.
   * @example
   * ```ts
   * await persist.setLabels("my-session", { tenant: "acme", user: "u1", draft: null });
   * ```
   */
  setLabels(sessionId: string, labels: Record<string, string | null | undefined>): Promise<void> {
    return write(this, "setLabels", (native) => native.setLabels(sessionId, labels), sessionId);
  }

  /**
   * The labels of a session; an empty object when it has none.
   *
   * @example
   * ```ts
   * const { user } = await persist.getLabels("my-session");
   * ```
   */
  getLabels(sessionId: string): Promise<Record<string, string>> {
    return call(this, "getLabels", (native) => native.getLabels(sessionId), sessionId);
  }

  /**
   * Follows a session: yields its stored events after `afterIndex`, then new ones as they are committed, by whichever
   * process, in order of `eventIndex`, none missing and none twice. A session that does not exist yet is waited for.
   *
   * Events of one session that several processes write may become visible out of order for a moment. So where an index
   * is missing before a new event, the iterator waits 250 ms for it, then goes on: indexes may be missing for good. Before an
   * event that was created more than a minute ago it does not wait. What arrives there later is yielded when it arrives,
   * after events with higher indexes; the last 1,000 places where indexes were missing are watched.
   *
   * It ends when the session is deleted or the driver closed; `next()` that waits then gets what was stored before. A `break` or
   * `return()` ends it, and so does `signal`. An iterator that nobody waits for keeps nothing alive and holds at most a page
   * of events, about 1 MiB; a `next()` that is awaited keeps the process alive.
   *
   * It never throws: the first `next()` rejects. After an error the iterator has ended; go on with a new one, after the last
   * event that it yielded.
   *
   * @throws `AbortError` when `signal` is aborted. `ERR_PERSIST_INVALID_ARGUMENT`, `ERR_PERSIST_CLOSED`, and what `listEvents` rejects with.
   * @example
   * ```ts
   * for await (const event of persist.tailEvents({ sessionId: "my-session", afterIndex: 41 })) {
   *   console.log(event.eventIndex, event.payload);
   * }
   * ```
   */
  tailEvents(request: TailEventsRequest): AsyncIterableIterator<SessionEvent> {
    const follow = () => {
      if (!isDriver(this)) throw failure(this, "tailEvents");
      return this.#native.follow(request);
    };
    const tail = (ended?: Ended) => new Tail(follow, request, ended);
    if (!isDriver(this) || !isTraced("tailEvents")) return tail();
    return traceLife(tracedCall("tailEvents", this.#address, request), tail);
  }

  /**
   * Deletes a session: its record, its events and its labels, in one transaction. Resolves once that is on disk, with whether
   * there was anything. A session that others write to may be deleted too. On Postgres one with a million events takes seconds,
   * and may take longer than `queryTimeoutMs`, as long as the server works on it.
   *
   * The id cannot be used for 30 days: a write to it rejects with `ERR_PERSIST_NOT_FOUND`, so that whoever still writes to the
   * session does not bring it back. On SQLite, and in the driver that deletes, that holds at once. On Postgres other drivers learn
   * of it within about a second; what they store until then is removed again.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when a foreign key or trigger of the tables' owner forbids it, and on Postgres
   * `ERR_PERSIST_UNAVAILABLE` when the user has no right to delete. Nothing is deleted then.
   * @example
   * ```ts
   * await persist.deleteSession("my-session");
   * ```
   */
  deleteSession(id: string): Promise<boolean> {
    return write(this, "deleteSession", (native) => native.deleteSession(id), id);
  }

  /**
   * Copies a session under a new id: its record, its labels, and its events up to and including `throughIndex`. Resolves with
   * the copy's record once all of it is on disk; nothing of it is there before. Pass its id to the SDK's `resumeSession` to go
   * on from there in another direction. The session itself stays as it is.
   *
   * It copies what this driver was called to write before, and on Postgres all that others have committed. The events keep all
   * but their `id`, which is a new random UUID, and `sessionId`. The record keeps all, `createdAt` too, but its `id`, and
   * `destroyedAt`, which is cleared. Two labels say where a copy is from: `forkedFrom` has the id of the session that was
   * copied, and `forkedThrough` the highest `eventIndex` that was copied; it is absent when no event was. They come in addition
   * to the 64 that a session may have, and a copy of a copy has its own. Columns that a table's owner has added are not copied.
   *
   * The database does the work: 100,000 events take about a second. On SQLite all other writes to the file wait meanwhile; on
   * Postgres only those of this driver to the same session do, where `maxConnections` is 4 or more. It may take longer than
   * `queryTimeoutMs` while the server works on it. Write to the copy only once the promise has resolved.
   *
   * @throws `ERR_PERSIST_NOT_FOUND` when the session has no record. `ERR_PERSIST_INVALID_ARGUMENT` when `options.id` is that of
   * a record, of events, of labels, or of a session that was deleted less than 30 days ago; or when the session's id has more than 1,024
   * bytes of UTF-8, or U+0000, which `forkedFrom` cannot hold. `ERR_PERSIST_TIMEOUT` when the server's `statement_timeout` ends
   * it (Postgres). What `insertEvent` throws.
   * @example
   * ```ts
   * const copy = await persist.forkSession("my-session", { throughIndex: 12 });
   * const session = await sdk.resumeSession(copy.id);
   * ```
   */
  forkSession(id: string, options?: ForkSessionOptions): Promise<SessionRecord> {
    return write(this, "forkSession", (native) => native.forkSession(id, options, randomUUID()), id);
  }

  /**
   * Resolves once everything that was prompted is stored. Call it when the prompts are answered, before the SDK's
   * `dispose()`: the SDK answers a prompt while the last updates are still on their way to the driver, and `dispose()` cuts
   * that way off.
   *
   * It waits until the SDK has handed over nothing for 250 ms, and all that it did hand over is stored.
   *
   * @throws `ERR_PERSIST_TIMEOUT` when `drainTimeoutMs` is over before that.
   * @example
   * ```ts
   * await session.prompt([{ type: "text", text: "Hello" }]);
   * await persist.flush();
   * await sdk.dispose();
   * await persist.close();
   * ```
   */
  flush(): Promise<void> {
    return call(this, "flush", (native) => drainUntilQuiet(native, () => this.#writes));
  }

  /**
   * Stores what the SDK still hands over, and releases everything: threads, connections, files. Resolves when that is
   * done. May be called twice. `await using persist = ...` calls it by itself.
   *
   * It goes on taking calls until none has been pending for a few turns of the event loop, at most for `drainTimeoutMs`.
   * Calls after that reject with `ERR_PERSIST_CLOSED`. An idle driver is closed at once.
   *
   * @example
   * ```ts
   * await persist.close();
   * ```
   */
  close(): Promise<void> {
    return call(this, "close", (native) => (this.#closing ??= drainAndClose(native)));
  }

  /**
   * The same as `close`, for `await using`.
   *
   * @example
   * ```ts
   * await using persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
   * ```
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!isDriver(this)) return refusal(this, "close");
    return this.close();
  }

  static {
    isDriver = (value): value is PersistDriver => typeof value === "object" && value !== null && #native in value;
    nativeOf = (driver) => {
      const watched = isWatched();
      if (watched !== driver.#watched) {
        driver.#watched = watched;
        driver.#native.listen(watched);
      }
      return driver.#native;
    };
    addressOf = (driver) => driver.#address;
    noteWrite = (driver) => (driver.#writes += 1);
  }
}

/**
 * Calls the native part of a driver, for one of its methods, and tells those who listen to that. It rejects when there is no driver.
 * `session` is for methods that are of one session.
 */
export function call<Result>(
  driver: PersistDriver,
  method: Method,
  work: (native: NativeDriver) => Promise<Result>,
  session?: OfSession,
): Promise<Result> {
  if (!isTraced(method) || !isDriver(driver)) return callNative(driver, method, work);
  return trace(tracedCall(method, addressOf(driver), session), () => callNative(driver, method, work));
}

function callNative<Result>(
  driver: PersistDriver,
  method: Method,
  work: (native: NativeDriver) => Promise<Result>,
): Promise<Result> {
  try {
    return work(nativeOf(driver));
  } catch (error) {
    return refusal(driver, method, error);
  }
}

/** The same for a call that `flush` waits for. */
function write<Result>(
  driver: PersistDriver,
  method: Method,
  work: (native: NativeDriver) => Promise<Result>,
  session?: OfSession,
): Promise<Result> {
  if (isDriver(driver)) noteWrite(driver);
  return call(driver, method, work, session);
}

/** What a method rejects with when it could not even be called. */
function refusal(driver: unknown, method: Method, cause?: unknown): Promise<never> {
  return Promise.reject(failure(driver, method, cause));
}

function failure(driver: unknown, method: Method, cause?: unknown): Error {
  return isDriver(driver)
    ? createError(
        "ERR_PERSIST_INTERNAL",
        `${method} failed for a mistake of sandbox-agent-persist (see \`cause\`); please report it`,
        { cause },
      )
    : createError(
        "ERR_PERSIST_INVALID_ARGUMENT",
        `${method} was called without its driver: call it as driver.${method}(...), on the driver itself and not on a Proxy`,
      );
}
