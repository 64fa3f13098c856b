/// <reference lib="esnext.disposable" />
// Made of lib/ by `npm run build:front`: change that, not this.
import type {
  SessionPersistDriver,
  ListEventsRequest,
  ListPageRequest,
  SessionRecord,
  ListPage,
  SessionEvent,
} from "sandbox-agent" with { "resolution-mode": "import" };

/**
 * What went wrong, as the `code` of an error of this package. docs/errors.md says what each means, and what to do.
 */
type PersistErrorCode =
  | "ERR_PERSIST_INVALID_ARGUMENT"
  | "ERR_PERSIST_CLOSED"
  | "ERR_PERSIST_INDEX_CONFLICT"
  | "ERR_PERSIST_SCHEMA"
  | "ERR_PERSIST_FOREIGN_TABLE"
  | "ERR_PERSIST_NOT_FOUND"
  | "ERR_PERSIST_BUSY"
  | "ERR_PERSIST_TIMEOUT"
  | "ERR_PERSIST_UNAVAILABLE"
  | "ERR_PERSIST_READONLY"
  | "ERR_PERSIST_FULL"
  | "ERR_PERSIST_CORRUPT"
  | "ERR_PERSIST_NO_BINARY"
  | "ERR_PERSIST_INTERNAL";

/** `AbortSignal`, where the program has its type: without DOM and Node's types there is none. */
type Signal = typeof globalThis extends {
  AbortSignal: {
    prototype: infer Type;
  };
}
  ? Type
  : object;

/** What a copy needs of a driver: the methods of the SDK's interface that read. */
type SessionSource = Pick<SessionPersistDriver, "getSession" | "listSessions" | "listEvents">;

/** The options that both drivers have, and that mean the same to both. All may be left out. */
interface PersistDriverOptions {
  /**
   * What happens to an event whose place in its session is taken by another event. `"reassign"`: it is stored at the
   * index after the session's highest, and its `eventIndex` is set to that before the promise resolves. `"reject"`: the
   * promise rejects with `ERR_PERSIST_INDEX_CONFLICT` and a message that makes the SDK try its next index.
   *
   * @default "reassign"
   */
  onEventIndexConflict?: "reassign" | "reject";
  /**
   * How many events a session keeps, as in the SDK's in-memory driver: when it has more, those with the lowest `eventIndex` are
   * removed for good. Never more than that are removed, and the highest index always stays. An integer from 1 to 2147483647.
   *
   * They are removed beside the writes, which do not wait for it. While events are written a session may have more by as
   * many as were committed together, or by a sixteenth of the cap; once nothing is written for a moment, and when `close`
   * resolves, it has no more. A driver sees to the sessions that it stores events in. Other sessions keep what they have. What
   * cannot be removed, since the right to `DELETE` is missing or a trigger forbids it, stays, and no write fails for it.
   *
   * @default undefined, which keeps all events
   */
  maxEventsPerSession?: number;
  /**
   * How many sessions with a record the store keeps, as in the SDK's in-memory driver: when a record is written and there are
   * more, those that were created first, by `(createdAt, id)`, are removed, each with its labels and all its events. An
   * integer from 1 to 2147483647.
   *
   * It is removed beside the writes, as with `maxEventsPerSession`. Whether a session is in use does not count: choose the cap well
   * above the number of those. The id of a removed session can be used again. What is written to it later is stored, as
   * events without a record.
   *
   * @default undefined, which keeps all sessions
   */
  maxSessions?: number;
  /**
   * How long, in milliseconds, `flush` and `close` wait for the SDK to hand over what it has queued. Raise it when agents
   * say more in a turn than the database stores in a minute. `flush` takes 250 ms at least: with less it always rejects. An
   * integer from 0 to 2147483647.
   *
   * @default 60000
   */
  drainTimeoutMs?: number;
  /**
   * How long, in milliseconds, a read or write takes at least to be told on the channel `sandbox-agent-persist:slow`: from when
   * the store gets it until its answer is on its way. An integer from 0 to 2147483647; with 0 each is told.
   *
   * @default 1000
   */
  slowMs?: number;
}

/** The options of `SQLiteSessionPersistDriver`. All may be left out. */
interface SQLiteSessionPersistDriverOptions extends PersistDriverOptions {
  /**
   * The database file; it is created when there is none, with mode 0600. A relative path is taken from the directory
   * that the process is in when the driver is made. `":memory:"` keeps everything in memory, until `close`; it goes with
   * neither `readonly: true` nor `migrate: false`. URIs and the empty string are refused.
   *
   * @default ":memory:"
   */
  filename?: string;
  /**
   * When a write's promise resolves. `"full"`: once the write survives a power cut. `"normal"`: once it survives the
   * end of the process; a power cut may take the last writes, and never damages the file.
   *
   * @default "full"
   */
  durability?: "full" | "normal";
  /**
   * How long, in milliseconds, a call waits for the lock of another process before it rejects with
   * `ERR_PERSIST_BUSY`. An integer from 0 to 2147483647.
   *
   * @default 5000
   */
  busyTimeoutMs?: number;
  /**
   * Opens a file that exists, for reading only: writes reject with `ERR_PERSIST_READONLY`, and no table is created or
   * changed.
   *
   * @default false
   */
  readonly?: boolean;
  /**
   * Whether to create the file and its tables, and to bring older tables up to date. With `false` they must be ready:
   * calls reject with `ERR_PERSIST_UNAVAILABLE` when there is no file, and with `ERR_PERSIST_SCHEMA` and a list of what
   * is missing when the tables are not ready.
   *
   * @default true
   */
  migrate?: boolean;
  /**
   * Who copies the write-ahead log (`-wal`) into the file. `"automatic"`: the driver, each time that the log has 32 MiB, and when the
   * last driver closes. While others read without a pause the log cannot begin anew; from 64 MiB on, writes then wait for them:
   * 25 ms at most, four times as long whenever the log has doubled, and never longer than `busyTimeoutMs`. `"external"`:
   * another program, such as Litestream, which has to see all of the log before it is copied. The driver then never does it, also
   * when it closes: while that program does not run, the log grows. All drivers on a file must say the same.
   *
   * @default "automatic"
   */
  checkpoints?: "automatic" | "external";
  /**
   * What the names of the tables, `sessions`, `events` and `persist_version`, begin with: at most 40 letters, digits and
   * underscores, not beginning with a digit, `sqlite_` or `pg_`.
   *
   * @default ""
   */
  tablePrefix?: string;
}
/** How far `backup` is. */
interface BackupProgress {
  /** What it does: it copies, then it checks the copy, about three times as long. */
  phase: "copying" | "verifying";
  /** How many bytes are copied. */
  bytes: number;
  /** How many there are. */
  totalBytes: number;
}
/** What came of `backup`. */
interface BackupResult {
  /** How many bytes the file has. */
  bytes: number;
}
/** The options of `backup`. All may be left out. */
interface BackupOptions extends WorkOptions<BackupProgress> {
  /**
   * Whether a file at that path is replaced. It keeps its place until the backup is whole.
   *
   * @default false
   */
  overwrite?: boolean;
}
/**
 * Keeps the sessions and events of the `sandbox-agent` SDK in an SQLite file.
 *
 * Pass it as `persist` to `SandboxAgent.connect` or `SandboxAgent.start`. All work happens on threads of its own: the event
 * loop never waits for the disk. Many drivers, in many processes, may use one file at once.
 *
 * @example
 * ```ts
 * import { SandboxAgent } from "sandbox-agent";
 * import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";
 *
 * const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
 * const sdk = await SandboxAgent.connect({ baseUrl: "http://127.0.0.1:2468", persist });
 * // ...
 * await persist.flush();
 * await sdk.dispose();
 * await persist.close();
 * ```
 */
declare class SQLiteSessionPersistDriver extends OperatedDriver {
  /**
   * Begins to open the database, in the background; every call waits for it.
   *
   * @throws `TypeError` with the code `ERR_PERSIST_INVALID_ARGUMENT` when an option is wrong or unknown.
   * @example
   * ```ts
   * const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db", durability: "full" });
   * ```
   */
  constructor(options?: SQLiteSessionPersistDriverOptions);
  /**
   * Copies the whole database into a file, while others read and write. The copy holds every event whose promise had resolved when
   * this was called, and all of it is of one moment: of what each writer wrote one after another it has a beginning. It is one file,
   * which needs no other beside it, and which a driver can be opened on.
   *
   * The file appears at `path` once it is whole, on the disk, and checked (`PRAGMA integrity_check`), with mode 0600 from its first
   * byte. Until then it is written beside `path`, under that name and an ending `.0123456789abcdef.partial` of random digits: it is
   * removed when the backup fails, and when a process was killed, by the next backup to that `path`. Writers do not wait; with
   * `":memory:"` they wait while it is copied within memory, about a second for a GiB. A driver with `readonly: true` may back up as well.
   *
   * `close` ends it with `ERR_PERSIST_CLOSED`.
   *
   * @param path where the backup goes. A relative path is taken from the directory that the process is in. A symbolic link there is
   * a file that exists: it is replaced or not, and never followed.
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when there is a file already, unless `overwrite` is true; and in any case when `path` is a
   * directory, a pipe or a device, the driver's own file, or one that SQLite keeps beside it, or when SQLite would take a file beside `path` (`-wal`,
   * `-journal`) for a part of the backup. `ERR_PERSIST_UNAVAILABLE` when it cannot be written there, `ERR_PERSIST_FULL` when the disk
   * is full, `ERR_PERSIST_CORRUPT` when the copy is damaged, as the database then is. After each of them `path` is as it was.
   * @example
   * ```ts
   * const { bytes } = await persist.backup("/backups/sessions.db", {
   *   overwrite: true,
   *   onProgress: ({ phase, bytes, totalBytes }) => console.log(phase, Math.round((100 * bytes) / totalBytes), "%"),
   * });
   * ```
   */
  backup(path: string, options?: BackupOptions): Promise<BackupResult>;
}

/** How far `copySessions` is. */
interface CopyProgress {
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
interface CopyResult {
  /** How many sessions have something now that they did not have before. */
  sessions: number;
  /** How many events were stored. */
  events: number;
}
/** A session that `copySessions` has left as it is: an item of `differences` of its error. */
interface CopyDifference {
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
interface CopySessionsOptions extends WorkOptions<CopyProgress> {
  /**
   * The ids of the sessions to copy. One that the source has no record of is an error.
   *
   * @default all sessions
   */
  sessions?: readonly string[];
}
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
declare function copySessions(
  source: SessionSource,
  target: SQLiteSessionPersistDriver | PostgresSessionPersistDriver,
  options?: CopySessionsOptions,
): Promise<CopyResult>;

/** One thing that `check` has found, and what to do about it. */
interface Finding {
  /** What kind of thing it is. */
  code: FindingCode;
  /**
   * `"error"`: something is damaged, or what was acknowledged may be lost. `"warning"`: it works, and somebody should see to it.
   * `"info"`: it may be meant to be so.
   */
  severity: "error" | "warning" | "info";
  /** What was found, in words. It never holds a payload. */
  message: string;
  /** What to do about it, in words. */
  remedy: string;
  /**
   * The table that it is about, without its schema.
   *
   * @default absent, where it is about no table
   */
  table?: string;
  /**
   * The sessions that it is about: the first 20.
   *
   * @default absent, where it is about no session
   */
  sessionIds?: string[];
  /**
   * How many events, sessions or places it is about.
   *
   * @default absent, where it is about one thing
   */
  count?: number;
}
/**
 * The kinds of findings. A later release may have more.
 *
 * Of what is stored: `"damaged"`: the file, a table or an index is damaged. With Postgres the extension amcheck looks at indexes,
 * where it is installed; else damage is not looked for. `"unreadable-events"`, `"unreadable-sessions"`: rows hold what cannot be read,
 * such as text that is not JSON. `"events-without-session"`: there is no record of their session. `"sessions-without-events"`: there
 * is nothing but the record.
 *
 * Of the tables: `"tables-not-ready"`: a table, column or index is missing. `"adopted-layout"`: another program made the table
 * of events, and its keys and indexes slow it down. `"redundant-index"`: another index does what it does. `"invalid-index"`: Postgres
 * does not use it. `"interrupted-rebuild"`: `rebuild` was killed, and nobody has called it again. `"unlogged-table"`: a crash of
 * the server empties it. `"missing-right"`: this user may not read, insert, update or delete. `"row-security"`: policies may hide
 * rows from this user. `"collation-changed"`: the system sorts texts in another way than it did.
 *
 * Of an SQLite file: `"open-to-others"`: users beside its owner may open a file, or replace it. `"hard-link"`: it has several names.
 * `"network-file-system"`: SQLite cannot rely on its locks (known on Linux alone). `"no-write-ahead-log"`: readers and writers wait
 * for each other. `"large-log"`: more than 128 MiB of the log are not folded into the file. `"normal-durability"`: the option
 * `durability` is `"normal"`.
 *
 * Of a Postgres server: `"fsync-off"`, `"full-page-writes-off"`, `"synchronous-commit-off"`: settings with which a crash loses
 * what was acknowledged. `"standby-missing"`: no synchronous standby is connected, so commits wait. `"standby-asynchronous"`: a
 * failover may lose the last commits. `"read-only-server"`: it is a standby. `"encoding"`: it is not UTF8. `"superuser"`: this user is
 * one. `"pooler"`: a pooler gives each transaction another connection.
 */
type FindingCode =
  | "damaged"
  | "unreadable-events"
  | "unreadable-sessions"
  | "events-without-session"
  | "sessions-without-events"
  | "tables-not-ready"
  | "adopted-layout"
  | "redundant-index"
  | "invalid-index"
  | "interrupted-rebuild"
  | "unlogged-table"
  | "missing-right"
  | "row-security"
  | "collation-changed"
  | "open-to-others"
  | "hard-link"
  | "network-file-system"
  | "no-write-ahead-log"
  | "large-log"
  | "normal-durability"
  | "fsync-off"
  | "full-page-writes-off"
  | "synchronous-commit-off"
  | "standby-missing"
  | "standby-asynchronous"
  | "read-only-server"
  | "encoding"
  | "superuser"
  | "pooler";
/** How far `check` is. */
interface CheckProgress {
  /** How many rows it has read. */
  rows: number;
  /** How many findings there are so far. */
  findings: number;
}

/** What a store does and holds. Counters only grow, from when the driver was made. */
interface Stats {
  /** When the driver was made and its counters began, in milliseconds since 1970. */
  since: number;
  /**
   * What the database holds. `undefined` while it cannot be asked: it is not reached or opened, or did not answer within a second or
   * two (Postgres). `ready()` says why. All else is there then too.
   */
  database: DatabaseStats | undefined;
  /** The calls of this driver that wait or are being worked on, reads and writes. */
  queue: {
    /** How many. */
    calls: number;
    /** How much memory they take, in bytes: their text, and 256 each. Past 512 MiB calls reject with `ERR_PERSIST_BUSY`. */
    bytes: number;
  };
  /** How long writes took, in milliseconds: from when the store got them until their answer was on its way, failed ones too. */
  writeDurationMs: Histogram;
  /** The same for reads. */
  readDurationMs: Histogram;
  /**
   * The batches of writes that were stored. Each is one transaction, but when some of it is refused, or, on Postgres, others write to
   * its sessions. What is a transaction of its own, such as `setLabels`, is a batch of one. What removes or joins rows in steps is not
   * counted.
   */
  batches: {
    /** How many writes they had. `count` is that of the batches, `sum` that of all writes that were stored. */
    writes: Histogram;
    /** How long they took, in milliseconds, waiting for locks and the disk or server included. */
    durationMs: Histogram;
    /** How many bytes of JSON text all of them had. */
    bytes: number;
  };
  /** How many calls were rejected by the store. Calls with wrong arguments never get there. */
  failed: number;
  /** How many events were stored at another index than the one they asked for, since another event had it. */
  reassigned: number;
  /**
   * Postgres: how many times something was sent again, since the connection broke, the server did not answer or it asked for another
   * try. SQLite: how many transactions had to wait for the lock of another process.
   */
  retries: number;
  /** How many times a connection was made again after one broke (Postgres). */
  reconnects: number;
  /** How many warnings were sent on the channel `sandbox-agent-persist:warning`, whether anybody listened or not. */
  warnings: number;
  /** The connections of this driver to the database. */
  connections: {
    /** How many are being made. */
    connecting: number;
    /** How many are being used. */
    busy: number;
    /** How many wait for work. */
    idle: number;
    /** How many calls wait for a connection that others use (Postgres); `maxConnections` is too low if this is often not 0. */
    waiting: number;
  };
}
/** What the database holds, whichever drivers have written it. */
interface DatabaseStats {
  /**
   * Whose table the events are in. `"own"`: as this package makes it. `"adopted"`: it was there before, and has keys, indexes,
   * columns or partitions of its owner's, which cost time with each event.
   */
  layout: "own" | "adopted";
  /** How many sessions have a record. */
  sessions: number;
  /** How many events there are. */
  events: number;
  /**
   * Whether the two numbers are exact, which they are while neither table has more than 10,000 rows. Else either may be an estimate.
   * SQLite: exact but for what was removed since the table was counted last, every ten minutes, a little with each call; a driver
   * that has not counted once yet assumes that nothing ever was. Postgres: what the server assumes for its own plans, usually a few
   * seconds old.
   */
  counts: "exact" | "estimate";
  /** How many bytes the data takes. SQLite: all of the file, whoever's tables are in it. Postgres: the package's tables with their indexes. */
  dataBytes: number;
  /**
   * How many bytes of them are free and will be used again (SQLite). Postgres does not know without reading all of it.
   *
   * @default undefined
   */
  freeBytes?: number;
  /**
   * How many bytes the write-ahead log takes beside the file (SQLite). That of Postgres is of the whole server.
   *
   * @default undefined
   */
  logBytes?: number;
}
/**
 * How many values of each size there were. The buckets are the same in all histograms of a kind, and for ever: none is wider than a
 * fourth of its values. For a period, take two and subtract `count`, `sum` and `counts`.
 */
interface Histogram {
  /** How many values there were. */
  count: number;
  /** All values together. */
  sum: number;
  /** The largest value. */
  max: number;
  /** What half of the values do not exceed: an estimate, by the buckets. */
  p50: number;
  /** What 90 of 100 values do not exceed. */
  p90: number;
  /** What 99 of 100 values do not exceed. */
  p99: number;
  /** The upper bounds of the buckets, ascending. A bound belongs to its bucket. Those of durations go from 0.001 to 134,218 ms. */
  bounds: number[];
  /** How many values are in each bucket; the last bucket, which `bounds` has nothing for, has those beyond. */
  counts: number[];
}

/**
 * Which events `listEvents` lists, and in which order: the SDK's own request, and what may be left out of it. An event is
 * listed if it meets all that is given.
 */
interface EventListRequest extends ListEventsRequest {
  /**
   * `"asc"`: from the first event to the last. `"desc"`: the newest first.
   *
   * @default "asc"
   */
  order?: "asc" | "desc";
  /**
   * Only events with a higher `eventIndex`. Found by an index. A safe integer.
   *
   * @default all events
   */
  afterIndex?: number;
  /**
   * Only events with a lower `eventIndex`. Found by an index. A safe integer.
   *
   * @default all events
   */
  beforeIndex?: number;
  /**
   * Only events from this side. The database reads through the session until the page is full.
   *
   * @default all events
   */
  sender?: "client" | "agent";
  /**
   * Only events whose payload is a JSON-RPC message with this method, such as `"session/prompt"`; the answer to one has none.
   * The driver reads through the session until the page is full.
   *
   * @default all events
   */
  method?: string;
}
/**
 * Which sessions `listSessions` lists, and in which order: the SDK's own request, and what may be left out of it. A session
 * is listed if it meets all that is given.
 */
interface SessionListRequest extends ListPageRequest {
  /**
   * By `createdAt`, then `id`. `"asc"`: the oldest first. `"desc"`: the newest first.
   *
   * @default "asc"
   */
  order?: "asc" | "desc";
  /**
   * Only sessions of this agent. The database reads through the sessions until the page is full.
   *
   * @default all sessions
   */
  agent?: string;
  /**
   * Only sessions in this sandbox. The database reads through the sessions until the page is full.
   *
   * @default all sessions
   */
  sandboxId?: string;
  /**
   * Only sessions that have a `destroyedAt` (`true`), or that have none (`false`). The database reads through the sessions until
   * the page is full.
   *
   * @default all sessions
   */
  destroyed?: boolean;
  /**
   * Only sessions with a later `createdAt`, in milliseconds since 1970. Found by an index. A safe integer.
   *
   * @default all sessions
   */
  createdAfter?: number;
  /**
   * Only sessions with an earlier `createdAt`, in milliseconds since 1970. Found by an index. A safe integer.
   *
   * @default all sessions
   */
  createdBefore?: number;
  /**
   * Only sessions that have all these labels: names and values, at most 64 of them. Found by an index when fewer than about 5,000
   * sessions have one of the labels; otherwise the database goes through the sessions, and looks at the labels of each, until
   * the page is full. A value that is `undefined` is an error.
   *
   * @default all sessions
   */
  labels?: Record<string, string>;
}
/** What `tailEvents` is asked for. */
interface TailEventsRequest {
  /** The session that is followed. It need not exist yet. */
  sessionId: string;
  /**
   * The index of the last event that the caller has: those after it are yielded. A safe integer.
   *
   * @default all events
   */
  afterIndex?: number;
  /**
   * Ends the iterator: `next()` rejects with an `AbortError` then.
   *
   * @default undefined
   */
  signal?: Signal;
}
/** The options of `forkSession`. All may be left out. */
interface ForkSessionOptions {
  /**
   * The id of the copy. It must not be empty, and nothing may be stored under it.
   *
   * @default a random UUID
   */
  id?: string;
  /**
   * The highest `eventIndex` to copy; one beyond the last event copies all. An integer from 0 to Number.MAX_SAFE_INTEGER.
   *
   * @default all events
   */
  throughIndex?: number;
}

/**
 * A call, as the TracingChannel `sandbox-agent-persist:<method>` tells of it: the same object for each of its events. A subscriber may
 * keep things on it that are its own, by a symbol.
 */
interface TracedCall extends StoreAddress {
  /** The name of the method: the attribute `db.operation.name`. */
  method: Method;
  /**
   * The session, where the call is of one.
   *
   * @default undefined
   */
  sessionId?: string;
  /**
   * What the promise was rejected with, from the event `error` on.
   *
   * @default undefined
   */
  error?: unknown;
}

/**
 * The methods of `SQLiteSessionPersistDriver` and `PostgresSessionPersistDriver`, which are the same.
 *
 * None of them throws: every failure is a rejected promise, with an `Error` that has a `code` (`PersistErrorCode`). Wrong
 * arguments are a `TypeError`. Where the database refused, its own message is the `cause`, and its code the `sqliteCode`
 * or `sqlState`; where the caller's own code threw (a getter, a `toJSON`), that is the `cause`.
 */
declare abstract class PersistDriver implements SessionPersistDriver {
  #private;
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
  ready(): Promise<void>;
  /**
   * The session's record, or `undefined` when there is none.
   *
   * @example
   * ```ts
   * const record = await persist.getSession("my-session");
   * ```
   */
  getSession(id: string): Promise<SessionRecord | undefined>;
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
  listSessions(request?: SessionListRequest): Promise<ListPage<SessionRecord>>;
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
  updateSession(session: SessionRecord): Promise<void>;
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
  listEvents(request: EventListRequest): Promise<ListPage<SessionEvent>>;
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
  insertEvent(sessionId: string, event: SessionEvent): Promise<void>;
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
  setLabels(sessionId: string, labels: Record<string, string | null | undefined>): Promise<void>;
  /**
   * The labels of a session; an empty object when it has none.
   *
   * @example
   * ```ts
   * const { user } = await persist.getLabels("my-session");
   * ```
   */
  getLabels(sessionId: string): Promise<Record<string, string>>;
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
  tailEvents(request: TailEventsRequest): AsyncIterableIterator<SessionEvent>;
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
  deleteSession(id: string): Promise<boolean>;
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
  forkSession(id: string, options?: ForkSessionOptions): Promise<SessionRecord>;
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
  flush(): Promise<void>;
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
  close(): Promise<void>;
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

/** What every method that takes long may be given. */
interface WorkOptions<Progress> {
  /**
   * Called with how far the work is, a few times a second at most. What it throws ends the work, and rejects the promise.
   *
   * @default undefined
   */
  onProgress?: (progress: Progress) => void;
  /**
   * Ends the work: the promise rejects with an `AbortError`, once the step that is under way is done. What was done stays done;
   * call again to go on.
   *
   * @default undefined
   */
  signal?: Signal;
}
/** How much space `vacuum` has given back, or how much it has so far. */
interface VacuumResult {
  /** How many bytes of disk space. */
  bytes: number;
}
/** The options of `vacuum`. All may be left out. */
type VacuumOptions = WorkOptions<VacuumResult>;
/** What `pruneSessions` has removed, or how much it has so far. */
interface PruneResult {
  /** How many sessions; with `keepLastEvents`, how many lost events. */
  sessions: number;
  /** How many events. */
  events: number;
  /** How many bytes of JSON text these events had. */
  bytes: number;
}
/**
 * Which sessions `pruneSessions` removes, and what of them: those that meet all that is given of `destroyedBefore`, `idleBefore` and
 * `labels`, of which there must be one. A session without a record is left alone.
 */
interface PruneSessionsOptions extends WorkOptions<PruneResult> {
  /**
   * Only sessions with an earlier `destroyedAt`, in milliseconds since 1970. A safe integer.
   *
   * @default all sessions
   */
  destroyedBefore?: number;
  /**
   * Only sessions with an earlier `createdAt` whose newest event, if there is one, has an earlier `createdAt` too, in milliseconds
   * since 1970. A safe integer.
   *
   * @default all sessions
   */
  idleBefore?: number;
  /**
   * Only sessions that have all these labels: names and values, at most 64 of them. A value that is `undefined` is an error.
   *
   * @default all sessions
   */
  labels?: Record<string, string>;
  /**
   * So many of a session's newest events stay, and its record and labels: only older events are removed. At least 1.
   *
   * @default whole sessions are removed
   */
  keepLastEvents?: number;
  /**
   * Counts what would be removed, and removes nothing.
   *
   * @default false
   */
  dryRun?: boolean;
}
/** What a compaction has done, or has so far; with `dryRun`, what it would do. */
interface CompactResult {
  /** How many sessions have fewer events than before. */
  sessions: number;
  /** How many events were looked at: those of turns that are over. */
  events: number;
  /** How many of these are gone, since the event that ends their run has their text. */
  removed: number;
  /** How many bytes of JSON text are gone with them. */
  bytes: number;
}
/** The options of `compactSession`. All may be left out. */
interface CompactSessionOptions extends WorkOptions<CompactResult> {
  /**
   * Counts what there is to do, and changes nothing.
   *
   * @default false
   */
  dryRun?: boolean;
}
/** Which sessions `compactSessions` compacts: those that meet all that is given, and have a record. All may be left out. */
interface CompactSessionsOptions extends CompactSessionOptions {
  /**
   * Only sessions with an earlier `destroyedAt`, in milliseconds since 1970. A safe integer.
   *
   * @default all sessions
   */
  destroyedBefore?: number;
  /**
   * Only sessions whose newest event has an earlier `createdAt`, in milliseconds since 1970; of a session without events the
   * record's counts. A safe integer.
   *
   * @default all sessions
   */
  idleBefore?: number;
  /**
   * Only sessions that have all these labels: names and values, at most 64 of them.
   *
   * @default all sessions
   */
  labels?: Record<string, string>;
}
/** The options of `check`. All may be left out. */
type CheckOptions = WorkOptions<CheckProgress>;
/** What `rebuild` has copied, or what it has copied so far. */
interface RebuildResult {
  /** How many events; 0 when there was nothing to do. */
  events: number;
  /** The bytes of their JSON text. */
  bytes: number;
}
/** The options of `rebuild`. All may be left out. */
type RebuildOptions = WorkOptions<RebuildResult>;
/** The methods for those who operate a server, beside those for programs that work with sessions. */
declare abstract class OperatedDriver extends PersistDriver {
  /**
   * Gives the space of what was removed back to the file system.
   *
   * SQLite: a file that this driver made gives its free pages back in small steps, beside readers and writers. Of an older file,
   * and of one that another program made, the first call writes all that is in it anew: that takes about twice the space of its
   * contents for a while, readers go on, writers wait, and those of other processes may be rejected with `ERR_PERSIST_BUSY`.
   * Later calls take steps. `signal` cannot end the writing anew.
   *
   * Postgres: runs `VACUUM` on the tables, beside all else, which the server's autovacuum does by itself some time after much was
   * removed. It makes room for new rows, and gives back what is free at the end of the tables. It takes one of the connections for reads
   * meanwhile: with `maxConnections` of 4 or less pages have no other, and wait. It waits for whoever holds a table, without a
   * limit; `signal` does not end that, and `close` does.
   *
   * @throws `AbortError` when `signal` is aborted. `ERR_PERSIST_FULL` when there is not room enough to write a file anew; the message
   * says how much it takes, and nothing was changed. On Postgres `ERR_PERSIST_UNAVAILABLE` for a user who neither owns the tables nor
   * has the right MAINTAIN on them (Postgres 17 and newer).
   * @example
   * ```ts
   * const { bytes } = await persist.vacuum();
   * ```
   */
  vacuum(options?: VacuumOptions): Promise<VacuumResult>;
  /**
   * Removes sessions that nobody needs any more, or their older events, in small steps beside other writers. There must be one
   * condition at least.
   *
   * The oldest events go first; the newest, the labels and the record go with the last step. Each step looks at the conditions
   * again: a session that meets them no longer keeps what it has left. What was done when it ends, by `signal`, an error or a crash,
   * stays done, and another call goes on. The ids of removed sessions can be used again, unlike those of deleted ones. Gaps in the
   * indexes of a session that stays are legal: followers and `listEvents` pass over them. SQLite gives the space back at the end, as
   * `vacuum` does in steps.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` without a condition, for a field that there is none of, a value that it cannot have, and
   * where a rule of a table's owner forbids to remove something. `AbortError` when `signal` is aborted. `ERR_PERSIST_UNAVAILABLE` for
   * a user of Postgres without the right DELETE.
   * @example
   * ```ts
   * const month = 30 * 24 * 60 * 60 * 1000;
   * await persist.pruneSessions({ destroyedBefore: Date.now() - month });
   * ```
   */
  pruneSessions(options: PruneSessionsOptions): Promise<PruneResult>;
  /**
   * Makes one event of each run of events that are pieces of one streamed message. Agents store a row for every few characters
   * that they say; afterwards there is one for each thing that was said. What the session says stays the same to the byte.
   *
   * A run is made of neighbouring events that differ in nothing but the text at `params.update.content.text` of their payload:
   * `session/update` notifications of the kinds `agent_message_chunk`, `agent_thought_chunk` and `user_message_chunk`, with the same
   * sender, connection and fields. Its last event stays, with its `id`, `eventIndex` and `createdAt`, and gets the text of all. A joined
   * text has at most 1 MiB, in bytes of its JSON text. Nothing else is ever joined. Indexes get gaps; the highest one of the session
   * stays.
   *
   * Only turns that are over are looked at: everything up to the agent's answer to the last `session/prompt` that it has
   * answered, and all of a session that has a `destroyedAt`. Where indexes are missing, a run goes on only across events that are older
   * than a minute, since what is missing may be on its way. Running it twice changes nothing.
   *
   * It works in small steps, each a transaction, beside writers and followers of any process: a write waits for one step at
   * most. What is done stays done when it ends, for whatever reason; call it again to go on. It undoes no newer write. A
   * follower that has the first events of a run already gets their text once more, with the rest, in the event that ends the run: so
   * does whoever comes back with `afterIndex` in the middle of one. Do not insert an event of such a turn again: its place may be free.
   * Columns that a table's owner has added keep what they have in the last event of a run, and go with the others.
   *
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when a foreign key or trigger of the tables' owner forbids it, and on Postgres
   * `ERR_PERSIST_UNAVAILABLE` when the user has no right to delete. What `insertEvent` throws. An `AbortError` when `signal` is aborted.
   * @example
   * ```ts
   * const { events, removed, bytes } = await persist.compactSession("my-session");
   * console.log(`${removed} of ${events} events and ${bytes} bytes are gone`);
   * ```
   */
  compactSession(id: string, options?: CompactSessionOptions): Promise<CompactResult>;
  /**
   * Does what `compactSession` does to each session that meets all of the conditions, one after the other; without a condition
   * to all sessions. A session that was compacted before costs a look at each of its events: run it now and then, for those that
   * were idle or destroyed since the last time.
   *
   * @throws What `compactSession` throws, which ends it.
   * @example
   * ```ts
   * const yesterday = Date.now() - 24 * 60 * 60 * 1000;
   * const { sessions, removed } = await persist.compactSessions({ idleBefore: yesterday });
   * ```
   */
  compactSessions(options?: CompactSessionsOptions): Promise<CompactResult>;
  /**
   * What the store does and holds: for dashboards and alerts, and cheap enough to be asked for every second. It resolves also while
   * the database cannot be reached; then `database` is `undefined`. It is not counted itself.
   *
   * @throws `ERR_PERSIST_CLOSED` when the driver is closed.
   * @example
   * ```ts
   * const { database, queue, writeDurationMs } = await persist.stats();
   * console.log(database?.events, queue.calls, writeDurationMs.p99);
   * ```
   */
  stats(): Promise<Stats>;
  /**
   * Looks for what an operator should know: damage, rows that cannot be read, indexes, who may open the files, and settings of the
   * database that break this driver's promise. It changes nothing, and goes through all sessions and events beside other calls: a
   * million events take some seconds. What matters most comes first; an empty list means that nothing was found.
   *
   * Of what is found in many rows there is one finding, with their number and the first sessions. Each part is read by itself, so
   * no part of the database is kept from being written to or tidied up meanwhile.
   *
   * @throws `AbortError` when `signal` is aborted.
   * @example
   * ```ts
   * for (const { severity, code, message, remedy } of await persist.check()) {
   *   console.log(`${severity} ${code}: ${message}. What to do: ${remedy}`);
   * }
   * ```
   */
  check(options?: CheckOptions): Promise<Finding[]>;
  /**
   * Makes a table of events that another program has made one like those that this driver makes, without its keys and other indexes,
   * which slow each write down. Everybody may go on writing, reading and following meanwhile, also in other processes: events are
   * copied in small steps, and writers wait only while the last changes are copied and the tables are switched. Killed, or ended by
   * `signal`, it leaves the table as it was; what it leaves beside it, the next rebuild removes, and so does the next driver that
   * opens the database more than a minute later. It needs as much free disk space as the table has.
   *
   * After that no key makes an event's `id` unique. So programs that write with `ON CONFLICT (id)`, as hand-written drivers do, are
   * refused by the database: stop them first.
   *
   * Resolves to `{ events: 0, bytes: 0 }` when the table needs none. Of two that run at once, the one that was called last goes on.
   * With Postgres the user must own the table, and be allowed to create tables in its schema.
   *
   * @throws `ERR_PERSIST_SCHEMA` when something of the owner's hangs on the table, such as a foreign key, a view or a trigger: the
   * message names each. `ERR_PERSIST_BUSY` when another rebuild was called meanwhile, or others held the table all the time.
   * `ERR_PERSIST_CORRUPT` when there are events without a session, an index or a time. `AbortError` when `signal` is aborted.
   * @example
   * ```ts
   * const { events } = await persist.rebuild({ onProgress: ({ events }) => console.log(`${events} events copied`) });
   * ```
   */
  rebuild(options?: RebuildOptions): Promise<RebuildResult>;
}

/** The options of `PostgresSessionPersistDriver`. All may be left out. */
interface PostgresSessionPersistDriverOptions extends PersistDriverOptions {
  /**
   * Where the database is and how to log in: `postgres://user:password@host:port/database?sslmode=verify-full`, or
   * libpq's `host=... dbname=...`. Several hosts may be named. What it leaves out is taken from `PGHOST`, `PGUSER` and
   * the other variables of libpq, and the password from `PGPASSFILE` or `~/.pgpass`.
   *
   * @default all from the environment
   */
  connectionString?: string;
  /**
   * The password, or a function that is called for each new connection and returns it: for tokens that live for minutes only,
   * as those of Amazon RDS, Azure and Cloud SQL. It wins over the connection string, the environment and the password file.
   *
   * The time that the function takes counts into `connectTimeoutMs`. When it throws, rejects or returns something else, all
   * calls that waited for the connection reject with `ERR_PERSIST_UNAVAILABLE` and its error as `cause`, and the next call
   * asks it again. It does not keep the process alive.
   *
   * @default that of the connection string or the environment
   */
  password?: string | (() => string | Promise<string>);
  /**
   * The schema that the tables are in. It is created only when there is none of that name.
   *
   * @default "public"
   */
  schema?: string;
  /**
   * What the names of the tables, `sessions`, `events` and `persist_version`, begin with: at most 40 letters, digits
   * and underscores, not beginning with a digit, `sqlite_` or `pg_`.
   *
   * @default ""
   */
  tablePrefix?: string;
  /**
   * How many connections the driver opens at most, as they are needed. Half of them, and no more than four, write. One of
   * the others answers `getSession`, and the rest read pages; with 2, `getSession` takes turns with pages. More of them
   * make no session faster. An integer from 2 to 10000.
   *
   * @default 10
   */
  maxConnections?: number;
  /**
   * How long, in milliseconds, connecting and logging in may take, for each host. `connect_timeout` in the connection
   * string, in seconds, is used when this is left out. An integer from 1 to 2147483647.
   *
   * @default 10000
   */
  connectTimeoutMs?: number;
  /**
   * How long, in milliseconds, a call waits for a connection while others use all of them, before it rejects with
   * `ERR_PERSIST_TIMEOUT`. An integer from 1 to 2147483647.
   *
   * @default 10000
   */
  acquireTimeoutMs?: number;
  /**
   * How long, in milliseconds, a read or a batch of writes is worked on, with all its tries, before it rejects with
   * `ERR_PERSIST_TIMEOUT` when the server did not answer, or `ERR_PERSIST_UNAVAILABLE` when it could not be reached. Each
   * try gets half of the time that is left. An integer from 1 to 2147483647.
   *
   * @default 30000
   */
  queryTimeoutMs?: number;
  /**
   * How long, in milliseconds, a connection that nobody uses is kept. 0 means always. An integer from 0 to 2147483647.
   *
   * @default 60000
   */
  idleTimeoutMs?: number;
  /**
   * How long, in milliseconds, a connection is kept at all, less up to a tenth by chance, so that not all end at once. 0
   * means always. An integer from 0 to 2147483647.
   *
   * @default 1800000
   */
  maxLifetimeMs?: number;
  /**
   * The name that the server shows for the connections, in `pg_stat_activity` and its log.
   *
   * @default "sandbox-agent-persist"
   */
  applicationName?: string;
  /**
   * How connections are encrypted and servers recognised. What it leaves out is taken from the connection string and
   * the environment.
   *
   * @default all from the connection string and the environment
   */
  ssl?: PostgresSslOptions;
  /**
   * Whether to create the tables, and to bring older ones up to date. With `false` they must be ready: calls reject with
   * `ERR_PERSIST_SCHEMA` and a list of what is missing when they are not.
   *
   * @default true
   */
  migrate?: boolean;
}
/** How connections to Postgres are encrypted, and how the server is recognised. */
interface PostgresSslOptions {
  /**
   * `"disable"`: no TLS. `"prefer"`: TLS when the server offers it; nothing is verified, so it helps against listeners
   * only. `"require"` and `"verify-full"`: TLS, and the certificate must be valid, for this host, and signed by an
   * authority that is trusted. `"verify-ca"`: the same, for whatever host; `ca` or `sslrootcert` must name the authority.
   * `"no-verify"`: TLS, with whoever answers.
   *
   * @default "prefer"
   */
  mode?: "disable" | "prefer" | "require" | "verify-ca" | "verify-full" | "no-verify";
  /**
   * The certificates of the authorities that are trusted, or the server's own, as PEM text.
   *
   * @default those of the operating system, or Mozilla's when it has none
   */
  ca?: string;
  /**
   * The certificate that this client shows, as PEM text. It needs `key`.
   *
   * @default none
   */
  cert?: string;
  /**
   * The private key of `cert`, as PEM text, not encrypted.
   *
   * @default none
   */
  key?: string;
  /**
   * The name that the server's certificate must be for, instead of the host's.
   *
   * @default the host of the connection string
   */
  servername?: string;
}
/**
 * Keeps the sessions and events of the `sandbox-agent` SDK in a PostgreSQL database, which many servers may share.
 *
 * Pass it as `persist` to `SandboxAgent.connect` or `SandboxAgent.start`. All work happens on a thread of its own: the event
 * loop never waits for the database. Many drivers, in many processes, may use one database, and one session, at once. It
 * works through PgBouncer and other poolers in transaction mode. No message shows a password.
 *
 * @example
 * ```ts
 * import { SandboxAgent } from "sandbox-agent";
 * import { PostgresSessionPersistDriver } from "sandbox-agent-persist";
 *
 * const persist = new PostgresSessionPersistDriver({ connectionString: "postgres://app:secret@db.example.com/app" });
 * const sdk = await SandboxAgent.connect({ baseUrl: "http://127.0.0.1:2468", persist });
 * // ...
 * await persist.flush();
 * await sdk.dispose();
 * await persist.close();
 * ```
 */
declare class PostgresSessionPersistDriver extends OperatedDriver {
  /**
   * Reads the options; the first call connects, and makes the tables ready.
   *
   * @throws `TypeError` with the code `ERR_PERSIST_INVALID_ARGUMENT` when an option, or a parameter of the connection
   * string, is wrong or unknown.
   * @example
   * ```ts
   * const persist = new PostgresSessionPersistDriver({
   *   connectionString: "postgres://app:secret@db.example.com/app?sslmode=verify-full",
   *   schema: "agents",
   * });
   * ```
   */
  constructor(options?: PostgresSessionPersistDriverOptions);
}

/** A method of the classes, or `copySessions`. Each has a TracingChannel, `sandbox-agent-persist:<method>`. */
type Method = Extract<keyof SQLiteSessionPersistDriver | keyof PostgresSessionPersistDriver, string> | "copySessions";
/** Which store a message is about, in the terms of OpenTelemetry's database conventions. Never a user or a password. */
interface StoreAddress {
  /** The attribute `db.system.name`. */
  system: "sqlite" | "postgresql";
  /**
   * The attribute `db.namespace`. SQLite: the absolute path of the file, or `":memory:"`. Postgres: `"database|schema"`, or `"schema"` where
   * the database is named by nothing but the user, since a mistyped connection string may have its password there.
   */
  namespace: string;
  /**
   * The attribute `server.address`, of Postgres: the host that was configured, or the directory of its socket. Of several hosts all, whichever
   * answers, as the conventions want it: `"db1,db2"`, or with their ports where one is not 5432.
   *
   * @default undefined
   */
  serverAddress?: string;
  /**
   * The attribute `server.port`, of Postgres with one host.
   *
   * @default undefined
   */
  serverPort?: number;
}
/** What is sent on the channels that are not of one method, by the last part of their names. */
interface StoreMessages {
  /** Writes are on disk, as one batch. */
  commit: {
    /** How many. */
    writes: number;
    /** How many bytes of JSON text they have. */
    bytes: number;
    /** How long the batch took, in milliseconds. */
    durationMs: number;
  };
  /** An event was stored at another index than the one that it asked for. */
  reassigned: {
    /** The session. */
    sessionId: string;
    /** The index that it is stored at. */
    eventIndex: number;
  };
  /** What was sent to the database is tried again, as `Stats.retries` counts it. */
  retry: {
    /** The code of the error that the call rejects with if nothing helps. */
    code: PersistErrorCode;
    /** Why the try before failed. */
    reason: string;
  };
  /** A connection was made again after one broke. */
  reconnected: {
    /** How long after it was found broken, in milliseconds. */
    durationMs: number;
  };
  /** A read or write took at least `slowMs`. */
  slow: {
    /** The name of its method. */
    operation: Method;
    /**
     * The session, where the call is of one.
     *
     * @default undefined
     */
    sessionId?: string;
    /** How long it took, in milliseconds. */
    durationMs: number;
  };
  /** Something needs a person's eyes. */
  warning: {
    /**
     * What it is about. `"late-writes-removed"`: something was written to a session after it was deleted, and was removed again.
     * `"late-writes-kept"`: it could not be removed. `"deletions-unseen"`: Postgres does not let the driver see which sessions others have
     * deleted. `"log-not-shrinking"`: SQLite's write-ahead log has passed 256 MiB. `"cap-not-kept"`: what is over `maxEventsPerSession` or
     * `maxSessions` could not be removed; it is tried again, and told once a minute at most.
     */
    code: "late-writes-removed" | "late-writes-kept" | "deletions-unseen" | "log-not-shrinking" | "cap-not-kept";
    /** What is wrong, and what to do. */
    message: string;
  };
}

export { PostgresSessionPersistDriver, SQLiteSessionPersistDriver, copySessions };
export type {
  BackupOptions,
  BackupProgress,
  BackupResult,
  CheckOptions,
  CheckProgress,
  CompactResult,
  CompactSessionOptions,
  CompactSessionsOptions,
  CopyDifference,
  CopyProgress,
  CopyResult,
  CopySessionsOptions,
  DatabaseStats,
  EventListRequest,
  Finding,
  FindingCode,
  ForkSessionOptions,
  Histogram,
  PersistErrorCode,
  PostgresSessionPersistDriverOptions,
  PostgresSslOptions,
  PruneResult,
  PruneSessionsOptions,
  RebuildOptions,
  RebuildResult,
  SQLiteSessionPersistDriverOptions,
  SessionListRequest,
  SessionSource,
  Stats,
  StoreAddress,
  StoreMessages,
  TailEventsRequest,
  TracedCall,
  VacuumOptions,
  VacuumResult,
  WorkOptions,
};
