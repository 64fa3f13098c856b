/// <reference lib="esnext.disposable" />
import type {
  ListEventsRequest,
  ListPage,
  ListPageRequest,
  SessionEvent,
  SessionPersistDriver,
  SessionRecord,
} from "sandbox-agent" with { "resolution-mode": "import" };

export interface SQLiteSessionPersistDriver extends SessionPersistDriver {
  /**
   * The same as `close`, for `await using`.
   *
   * @example
   * ```ts
   * await using persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
   * ```
   */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Which binding artifact the generated loader actually loaded: `'native'` for
 * a native addon, otherwise the `platformArchABI` of the WASI flavor. Every
 * flavor napi-rs can build is listed, because `NAPI_RS_NATIVE_LIBRARY_PATH`
 * can point the loader at a WASI artifact this package does not build itself.
 */
export declare const __napiBindingTarget: 'native' | 'wasm32-wasi' | 'wasm32-wasip1'

/**
 * Keeps the sessions and events of the `sandbox-agent` SDK in an SQLite file.
 *
 * Pass it as `persist` to `SandboxAgent.connect` or `SandboxAgent.start`. All work happens on threads of its own: the
 * event loop never waits for the disk. Many drivers, in many processes, may use one file at once.
 *
 * Every failure is a rejected promise with an `Error` that has a `code`, such as `ERR_PERSIST_BUSY`; only the
 * constructor throws. Wrong arguments are a `TypeError`. Where SQLite refused, its own message is the `cause` and its
 * code the `sqliteCode`; where the caller's own code threw (a getter, a `toJSON`), that is the `cause`.
 *
 * @example
 * ```ts
 * import { SandboxAgent } from "sandbox-agent";
 * import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";
 *
 * const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
 * const sdk = await SandboxAgent.connect({ baseUrl: "http://127.0.0.1:2468", persist });
 * // ...
 * await sdk.dispose();
 * await persist.close();
 * ```
 */
export declare class SQLiteSessionPersistDriver {
  /**
   * Begins to open the database, in the background; every call waits for it.
   *
   * @throws `TypeError` with the code `ERR_PERSIST_INVALID_ARGUMENT` when an option is wrong or unknown.
   * @example
   * ```ts
   * const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db", durability: "full" });
   * ```
   */
  constructor(options?: SQLiteSessionPersistDriverOptions)
  /**
   * Resolves once the database is open and its tables are ready. There is no need to call it: it tells early
   * whether the file can be used. A failed opening is tried again by the next call, whichever it is.
   *
   * @throws `ERR_PERSIST_UNAVAILABLE` (no such directory, no right), `ERR_PERSIST_CORRUPT` (not a database),
   * `ERR_PERSIST_FOREIGN_TABLE`, `ERR_PERSIST_SCHEMA`, `ERR_PERSIST_BUSY`, `ERR_PERSIST_READONLY`, `ERR_PERSIST_FULL`.
   * @example
   * ```ts
   * await persist.ready();
   * ```
   */
  ready(): Promise<void>
  /**
   * The session's record, or `undefined` when there is none.
   *
   * @example
   * ```ts
   * const record = await persist.getSession("my-session");
   * ```
   */
  getSession(id: string): Promise<SessionRecord | undefined>
  /**
   * A page of sessions, in order of `(createdAt, id)`: at most `limit` of them, 100 when `limit` is left out, not
   * finite or below 1. Pass `nextCursor` as `cursor` to get the next page; the last page has none. Sessions that
   * come or go meanwhile make no other session repeat or be skipped.
   *
   * @example
   * ```ts
   * let cursor: string | undefined;
   * do {
   *   const page = await persist.listSessions({ cursor, limit: 50 });
   *   for (const record of page.items) console.log(record.id);
   *   cursor = page.nextCursor;
   * } while (cursor);
   * ```
   */
  listSessions(request?: ListPageRequest): Promise<ListPage<SessionRecord>>
  /**
   * Stores the record, in place of the one with its id if there is one: a field that is absent now is cleared.
   * Resolves once it is on disk.
   *
   * @example
   * ```ts
   * const record = await persist.getSession("my-session");
   * if (record) await persist.updateSession({ ...record, destroyedAt: Date.now() });
   * ```
   */
  updateSession(session: SessionRecord): Promise<void>
  /**
   * A page of one session's events, in order of `eventIndex`: at most `limit` of them, 100 when `limit` is left out,
   * not finite or below 1; fewer when their JSON text would pass 256 MiB. Pass `nextCursor` as `cursor` to get the
   * next page; the last page has none.
   *
   * @example
   * ```ts
   * const page = await persist.listEvents({ sessionId: "my-session", limit: 500 });
   * ```
   */
  listEvents(request: ListEventsRequest): Promise<ListPage<SessionEvent>>
  /**
   * Stores the event. Resolves once it is on disk. Storing the same event again, by its `id` and `eventIndex`,
   * replaces it. When another event has its index, `onEventIndexConflict` decides. Retry with the object that you
   * passed: it carries the index that the event is stored at.
   *
   * @throws `ERR_PERSIST_INDEX_CONFLICT` with `onEventIndexConflict: "reject"`, and with `"reassign"` when the new index
   * cannot be set on a frozen object (the event is stored then); `ERR_PERSIST_FULL` when the disk is full; `ERR_PERSIST_BUSY` when another process held the file's lock for longer than `busyTimeoutMs`, or 512 MiB of
   * events wait for the disk already.
   * @example
   * ```ts
   * await persist.insertEvent(event.sessionId, event);
   * ```
   */
  insertEvent(sessionId: string, event: SessionEvent): Promise<void>
  /**
   * Refuses new calls, commits what was called before, and releases everything: threads, connections, files. May be
   * called twice. `await using persist = ...` calls it by itself.
   *
   * @example
   * ```ts
   * await persist.close();
   * ```
   */
  close(): Promise<void>
}

/** The options of `SQLiteSessionPersistDriver`. All may be left out. */
export interface SQLiteSessionPersistDriverOptions {
  /**
   * The database file; it is created when there is none, with mode 0600. A relative path is taken from the directory
   * that the process is in when the driver is made. `":memory:"` keeps everything in memory, until `close`; it goes with
   * neither `readonly: true` nor `migrate: false`. URIs and the empty string are refused.
   *
   * @default ":memory:"
   */
  filename?: string
  /**
   * When a write's promise resolves. `"full"`: once the write survives a power cut. `"normal"`: once it survives the
   * end of the process; a power cut may take the last writes, and never damages the file.
   *
   * @default "full"
   */
  durability?: 'full' | 'normal'
  /**
   * How long, in milliseconds, a call waits for the lock of another process before it rejects with
   * `ERR_PERSIST_BUSY`. An integer from 0 to 2147483647.
   *
   * @default 5000
   */
  busyTimeoutMs?: number
  /**
   * Opens a file that exists, for reading only: writes reject with `ERR_PERSIST_READONLY`, and no table is created or
   * changed.
   *
   * @default false
   */
  readonly?: boolean
  /**
   * Whether to create the file and its tables, and to bring older tables up to date. With `false` they must be ready:
   * calls reject with `ERR_PERSIST_UNAVAILABLE` when there is no file, and with `ERR_PERSIST_SCHEMA` and a list of what
   * is missing when the tables are not ready.
   *
   * @default true
   */
  migrate?: boolean
  /**
   * What the names of the tables, `sessions` and `events`, begin with: at most 40 letters, digits and underscores, not
   * beginning with a digit or with `sqlite_`.
   *
   * @default ""
   */
  tablePrefix?: string
  /**
   * What happens to an event whose place in its session is taken by another event. `"reassign"`: it is stored at the
   * index after the session's highest, and its `eventIndex` is set to that before the promise resolves. `"reject"`: the
   * promise rejects with `ERR_PERSIST_INDEX_CONFLICT` and a message that makes the SDK try its next index.
   *
   * @default "reassign"
   */
  onEventIndexConflict?: 'reassign' | 'reject'
}
