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
  try {
    const signal = given?.signal;
    if (signal === undefined || isSignal(signal)) return signal;
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "reading the field signal threw (see `cause`)", { cause });
  }
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", `${name}.signal must be an AbortSignal`);
}

/** Not by `instanceof`: a test runner's realm has an AbortSignal of its own. */
function isSignal(value: unknown): value is AbortSignal {
  if (typeof value !== "object" || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  return (
    typeof aborted === "boolean" && typeof addEventListener === "function" && typeof removeEventListener === "function"
  );
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
  try {
    signal.addEventListener("abort", onAbort);
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "listening to the signal threw (see `cause`)", { cause });
  }
  const stop = () => {
    listening.delete(signal);
    signal.removeEventListener("abort", onAbort);
  };
  const begun = { acts, stop };
  listening.set(signal, begun);
  return begun;
}
