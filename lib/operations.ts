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
}
