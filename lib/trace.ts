// Tells the subscribers of a method's TracingChannel of its calls: how long each takes, what it is about and how it ends. Never what is
// written or read, which `TracingChannel.tracePromise` would tell.
import { tracing, type Method, type StoreAddress } from "./channels.ts";

/**
 * A call, as the TracingChannel `sandbox-agent-persist:<method>` tells of it: the same object for each of its events. A subscriber may
 * keep things on it that are its own, by a symbol.
 */
export interface TracedCall extends StoreAddress {
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

/** What a call has of the session that it is of: the id, or what has it in a field. */
export type OfSession = string | { sessionId: string } | { id: string };

/** Whether anybody listens to the calls of a method. */
export function isTraced(method: Method): boolean {
  const { start, end, asyncStart, asyncEnd, error } = tracing[method];
  return (
    start.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers
  );
}

/** The call of a method, for those who listen. */
export function tracedCall(method: Method, store: StoreAddress, session: OfSession | undefined): TracedCall {
  const sessionId = idOf(session);
  return { method, ...(sessionId !== undefined && { sessionId }), ...store };
}

/** What the caller has passed may be wrong in any way; the call itself says so. */
function idOf(session: OfSession | undefined): string | undefined {
  if (typeof session === "string") return session;
  try {
    if (session === undefined) return undefined;
    const id: unknown = "sessionId" in session ? session.sessionId : session.id;
    return typeof id === "string" ? id : undefined;
  } catch {
    return undefined;
  }
}

/** How a call ends: with an error, if there is one. */
export type Ended = (failure?: { error: unknown }) => void;

/** Does the work of a call whose end is that of its promise. */
export function trace<Result>(call: TracedCall, work: () => Promise<Result>): Promise<Result> {
  return begin(call, () => awaited(work(), tellingEnd(call)));
}

/** Begins what `ended` says the end of. */
export function traceLife<Result>(call: TracedCall, work: (ended: Ended) => Result): Result {
  return begin(call, () => work(tellingEnd(call)));
}

/** `work`, and what it begins, has the stores that are bound to `start`: the span of an AsyncLocalStorage, say. */
function begin<Result>(call: TracedCall, work: () => Result): Result {
  const { start, end } = tracing[call.method];
  const whole = () => {
    try {
      return work();
    } finally {
      end.publish(call);
    }
  };
  // Not every runtime can bind stores.
  if (start.runStores) return start.runStores(call, whole);
  start.publish(call);
  return whole();
}

/** `await` needs no `then`, which a program may have replaced. */
async function awaited<Result>(promise: Promise<Result>, ended: Ended): Promise<Result> {
  let result: Result;
  try {
    result = await promise;
  } catch (error) {
    ended({ error });
    throw error;
  }
  ended();
  return result;
}

/** Tells the end of a call, the first time that it is called. */
function tellingEnd(call: TracedCall): Ended {
  const { asyncStart, asyncEnd, error } = tracing[call.method];
  let isOver = false;
  return (failure) => {
    if (isOver) return;
    isOver = true;
    if (failure) {
      call.error = failure.error;
      error.publish(call);
    }
    asyncStart.publish(call);
    asyncEnd.publish(call);
  };
}
