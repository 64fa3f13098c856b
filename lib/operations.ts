// What both drivers do for those who operate a server: keeping a store small.
import type { Signal } from "./abort.ts";
import { call, PersistDriver } from "./driver.ts";
import { finish } from "./job.ts";

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

/** The methods for those who operate a server, beside those for programs that work with sessions. */
export abstract class OperatedDriver extends PersistDriver {
  /**
   * Gives the space of what was removed back to the file system.
   *
   * @example
   * ```ts
   * const { bytes } = await persist.vacuum();
   * ```
   */
  vacuum(options?: VacuumOptions): Promise<VacuumResult> {
    return call(this, "vacuum", (native) => finish(() => native.vacuum(options), options));
  }

  /**
   * Removes sessions that nobody needs any more, or their older events, in small steps beside other writers.
   *
   * @example
   * ```ts
   * const month = 30 * 24 * 60 * 60 * 1000;
   * await persist.pruneSessions({ destroyedBefore: Date.now() - month });
   * ```
   */
  pruneSessions(options: PruneSessionsOptions): Promise<PruneResult> {
    return call(this, "pruneSessions", (native) => finish(() => native.pruneSessions(options), options));
  }
}
