// Listens to the caller's AbortSignals, with one listener a signal: Node warns of a leak at the eleventh, and a server may
// end all its followers with one signal.

/** What is to be done when a signal is aborted. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `act` when the signal is aborted, until the function that comes back is called. */
export function whenAborted(signal: AbortSignal, act: () => void): () => void {
  const acts = waiting.get(signal) ?? listen(signal);
  acts.add(act);
  return () => {
    acts.delete(act);
    if (acts.size === 0) stop(signal);
  };
}

function listen(signal: AbortSignal): Set<() => void> {
  const acts = new Set<() => void>();
  waiting.set(signal, acts);
  signal.addEventListener("abort", onAbort);
  return acts;
}

function stop(signal: AbortSignal): void {
  waiting.delete(signal);
  signal.removeEventListener("abort", onAbort);
}

function onAbort(this: AbortSignal): void {
  for (const act of waiting.get(this) ?? []) act();
}
