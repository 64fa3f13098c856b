// What both drivers do for those who operate a server.
import { randomUUID } from "node:crypto";

import type { Signal } from "./abort.ts";
import { call, PersistDriver } from "./driver.ts";
import type { CheckProgress, Finding } from "./findings.ts";
import { finish } from "./job.ts";
import type { NativeDriver } from "./addon.ts";
import type { DatabaseStats, Stats } from "./stats.ts";

/** What every method that takes long may be given. */
export interface WorkOptions<Progress> {
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
export interface VacuumResult {
  /** How many bytes of disk space. */
  bytes: number;
}

/** The options of `vacuum`. All may be left out. */
export type VacuumOptions = WorkOptions<VacuumResult>;

/** What `pruneSessions` has removed, or how much it has so far. */
export interface PruneResult {
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
export interface PruneSessionsOptions extends WorkOptions<PruneResult> {
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
export interface CompactResult {
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
export interface CompactSessionOptions extends WorkOptions<CompactResult> {
  /**
   * Counts what there is to do, and changes nothing.
   *
   * @default false
   */
  dryRun?: boolean;
}

/** Which sessions `compactSessions` compacts: those that meet all that is given, and have a record. All may be left out. */
export interface CompactSessionsOptions extends CompactSessionOptions {
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
export type CheckOptions = WorkOptions<CheckProgress>;

/** What `rebuild` has copied, or what it has copied so far. */
export interface RebuildResult {
  /** How many events; 0 when there was nothing to do. */
  events: number;
  /** The bytes of their JSON text. */
  bytes: number;
}

/** The options of `rebuild`. All may be left out. */
export type RebuildOptions = WorkOptions<RebuildResult>;

/** The methods for those who operate a server, beside those for programs that work with sessions. */
export abstract class OperatedDriver extends PersistDriver {
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
  vacuum(options?: VacuumOptions): Promise<VacuumResult> {
    return call(this, "vacuum", (native) => finish(() => native.vacuum(options), options));
  }

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
  pruneSessions(options: PruneSessionsOptions): Promise<PruneResult> {
    return call(this, "pruneSessions", (native) => finish(() => native.pruneSessions(options), options));
  }

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
  compactSession(id: string, options?: CompactSessionOptions): Promise<CompactResult> {
    return call(this, "compactSession", (native) => finish(() => native.compactSession(id, options), options), id);
  }

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
  compactSessions(options?: CompactSessionsOptions): Promise<CompactResult> {
    return call(this, "compactSessions", (native) => finish(() => native.compactSessions(options), options));
  }

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
  stats(): Promise<Stats> {
    return call(this, "stats", async (native) => {
      const database = await measured(native);
      return { ...native.counters(), database };
    });
  }

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
  check(options?: CheckOptions): Promise<Finding[]> {
    return call(this, "check", (native) => finish(() => native.check(options), options));
  }

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
  rebuild(options?: RebuildOptions): Promise<RebuildResult> {
    return call(this, "rebuild", (native) => finish(() => native.rebuild(options, randomUUID()), options));
  }
}

async function measured(native: NativeDriver): Promise<DatabaseStats | undefined> {
  try {
    return await native.measure();
  } catch (error) {
    if ((error as { code?: unknown }).code === "ERR_PERSIST_CLOSED") throw error;
    return undefined;
  }
}
