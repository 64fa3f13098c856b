// The iterator that `tailEvents` gives: it has at most one page of events, and asks for the next one when its caller has
// taken them all. Nothing happens in it while nobody waits for an event.
import type { SessionEvent } from "sandbox-agent" with { "resolution-mode": "import" };

import { signalOf, whenAborted } from "./abort.ts";
import type { NativeFollower } from "./addon.ts";
import { abortError } from "./realm.ts";
import type { Ended } from "./trace.ts";

type Result = IteratorResult<SessionEvent, undefined>;

/** See `PersistDriver.tailEvents`. */
export class Tail implements AsyncIterableIterator<SessionEvent, undefined> {
  /** None once the iterator has ended. */
  #follower: NativeFollower | undefined;
  readonly #signal: AbortSignal | undefined;
  /** Why it could not begin, until the first `next()` has said so. */
  #refusal: { error: unknown } | undefined;
  #page: SessionEvent[] = [];
  /** How many events of the page were given. */
  #given = 0;
  /** The last call that waits. */
  #last: Promise<Result> | undefined;

  /** Whom to tell of its end, if anybody. */
  readonly #ended: Ended | undefined;

  /** `follow` may throw, and so may what the caller's request does when it is read. */
  constructor(follow: () => NativeFollower, request: { signal?: unknown }, ended?: Ended) {
    this.#ended = ended;
    try {
      const follower = follow();
      this.#signal = signalOf(request, "request");
      this.#follower = follower;
    } catch (error) {
      this.#refusal = { error };
    }
  }

  async next(): Promise<Result> {
    try {
      const result = (!this.#last && this.#take()) || (await this.#takeInTurn());
      if (result.done) this.#ended?.();
      return result;
    } catch (error) {
      this.#ended?.({ error });
      throw error;
    }
  }

  async return(): Promise<Result> {
    await this.#end();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<Result> {
    await this.#end();
    throw error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** What can be said at once: the next event of the page, the end, or why there is none. */
  #take(): Result | undefined {
    if (this.#refusal) {
      const { error } = this.#refusal;
      this.#refusal = undefined;
      throw error;
    }
    if (!this.#follower) return { done: true, value: undefined };
    if (this.#signal?.aborted) {
      this.#page = [];
      this.#follower.end();
      throw abortError(this.#signal.reason);
    }
    const value = this.#page[this.#given];
    if (!value) return undefined;
    this.#given += 1;
    return { done: false, value };
  }

  async #takeInTurn(): Promise<Result> {
    const turn = this.#takeAfter(this.#last);
    this.#last = turn;
    try {
      return await turn;
    } finally {
      if (this.#last === turn) this.#last = undefined;
    }
  }

  /** Takes an event once the call before has taken its own: calls that wait at the same time keep their order. */
  async #takeAfter(before: Promise<Result> | undefined): Promise<Result> {
    if (before) await settled(before);
    for (;;) {
      const taken = this.#take();
      if (taken) return taken;
      await this.#nextPage();
    }
  }

  async #nextPage(): Promise<void> {
    const follower = this.#follower;
    if (!follower) return;
    // There is a listener only while somebody waits, so that a signal keeps no iterator that was dropped.
    const signal = this.#signal;
    const stopListening = signal && whenAborted(signal, () => follower.end());
    try {
      this.#page = [];
      this.#given = 0;
      const page = await follower.nextEvents();
      if (page) this.#page = page;
      else if (!signal?.aborted) this.#follower = undefined;
    } catch (error) {
      this.#follower = undefined;
      throw error;
    } finally {
      stopListening?.();
    }
  }

  /** Ends the iterator, and waits for the calls that wait: they have nothing more to come. */
  async #end(): Promise<void> {
    this.#refusal = undefined;
    this.#follower?.end();
    this.#follower = undefined;
    this.#page = [];
    if (this.#last) await settled(this.#last);
    this.#ended?.();
  }
}

async function settled(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch {
    // Its own caller is told.
  }
}
