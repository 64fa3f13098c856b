// Waits until the SDK has handed over what it has in its own queue.
//
// The SDK hands events over one after another: it gives the next one in the turn of the event loop in which the last one
// was answered (docs/sdk-contract.md, 8). So its queue is empty when nothing has been pending for a few turns.
import timers from "node:timers";

import type { NativeDriver } from "./addon.ts";
import { createError } from "./realm.ts";

/** Taken when the package is loaded: a test that replaces the timers must not keep a driver from closing. */
const { clearTimeout, setImmediate, setTimeout } = timers;

/** How many turns of the event loop count as quiet: more than one, for whoever stands between the SDK and the driver. */
const QUIET_TURNS = 10;

/**
 * How long the network may hold back what an agent said before it answered: the answer and the updates before it come by
 * two connections, and a packet that is lost on one of them is sent again after 200 ms.
 */
const QUIET_MS = 250;

/** One wait, for at most `drainTimeoutMs`. Call `stop` at its end. */
class Drain {
  readonly #native: NativeDriver;
  readonly #timer: NodeJS.Timeout;
  #hasTime = true;
  /** Ends the wait that is going on. */
  #giveUp = (): void => {};

  constructor(native: NativeDriver) {
    this.#native = native;
    this.#timer = setTimeout(() => {
      this.#hasTime = false;
      this.#giveUp();
    }, native.drainTimeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Waits until no call has been pending for a few turns of the event loop; false when the time is over first. */
  async untilIdle(): Promise<boolean> {
    let turns = 0;
    while (turns < QUIET_TURNS) {
      if (this.#native.pending > 0) {
        await this.#untilTimeOver((resolve) => void this.#native.whenIdle().then(resolve));
        if (!this.#hasTime) return false;
        turns = 0;
      }
      await new Promise((resolve) => setImmediate(resolve));
      turns += 1;
    }
    return true;
  }

  /** Waits until all is idle and no write has come for a while (`QUIET_MS`); false when the time is over first. */
  async untilQuiet(writes: () => number): Promise<boolean> {
    while (this.#hasTime) {
      const before = writes();
      await this.#untilTimeOver((resolve) => void setTimeout(resolve, QUIET_MS));
      if (!this.#hasTime || !(await this.untilIdle())) return false;
      if (writes() === before) return true;
    }
    return false;
  }

  /**
   * Waits until `resolve` is called, or the time is over. Not with `Promise.race` and one promise for the end of the time:
   * that would keep a part of each wait until then.
   */
  #untilTimeOver(start: (resolve: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#giveUp = resolve;
      if (this.#hasTime) start(resolve);
      else resolve();
    });
  }
}

/** Waits until the SDK has handed over all, and that is stored. `writes` says how many writes were called. */
export async function drainUntilQuiet(native: NativeDriver, writes: () => number): Promise<void> {
  const drain = new Drain(native);
  try {
    if (await drain.untilQuiet(writes)) return;
  } finally {
    drain.stop();
  }
  throw createError(
    "ERR_PERSIST_TIMEOUT",
    `flushing the driver was given up after ${native.drainTimeoutMs} ms (options.drainTimeoutMs): in that time there were no ` +
      `${QUIET_MS} ms in which no event came. What was handed over will be stored; call flush() again, once no prompt is running`,
  );
}

/** Takes what the SDK still hands over, then closes. */
export async function drainAndClose(native: NativeDriver): Promise<void> {
  const drain = new Drain(native);
  try {
    await drain.untilIdle();
  } finally {
    drain.stop();
  }
  return native.close();
}
