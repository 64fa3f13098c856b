// The caller's AbortSignals: finds and checks one, and listens to it. There is one listener a signal: Node warns of a leak at
// the eleventh, and a server may end all its followers with one signal.
import { createError } from "./realm.ts";

/** `AbortSignal`, where the program has its type: without DOM and Node's types there is none. */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer Type } } ? Type : object;

/** A signal that is listened to. */
interface Listening {
  /** What is to be done when it is aborted. */
  acts: Set<() => void>;
  stop(): void;
}

/** The field `signal` of what the caller passed, which messages call `name`. */
export function signalOf(given: { signal?: unknown } | undefined, name: string): AbortSignal | undefined {
  let signal: unknown;
  try {
    signal = given?.signal;
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "reading the field signal threw (see `cause`)", { cause });
  }
  if (signal === undefined) return undefined;
  // Not by `instanceof`: a test runner's realm has an AbortSignal of its own.
  if (typeof signal === "object" && signal !== null && "aborted" in signal && "addEventListener" in signal)
    return signal as AbortSignal;
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", `${name}.signal must be an AbortSignal`);
}

const listening = new WeakMap<AbortSignal, Listening>();

/** Calls `act` when the signal is aborted, until the function that comes back is called. */
export function whenAborted(signal: AbortSignal, act: () => void): () => void {
  const { acts, stop } = listening.get(signal) ?? listen(signal);
  acts.add(act);
  return () => {
    acts.delete(act);
    if (acts.size === 0) stop();
  };
}

function listen(signal: AbortSignal): Listening {
  const acts = new Set<() => void>();
  // Not by `this`, which is another object where the signal is a Proxy.
  const onAbort = () => {
    for (const act of acts) act();
  };
  signal.addEventListener("abort", onAbort);
  const stop = () => {
    listening.delete(signal);
    signal.removeEventListener("abort", onAbort);
  };
  const begun = { acts, stop };
  listening.set(signal, begun);
  return begun;
}
