// Listens to the caller's AbortSignals, with one listener a signal: Node warns of a leak at the eleventh, and a server may
// end all its followers with one signal.

/** A signal that is listened to. */
interface Listening {
  /** What is to be done when it is aborted. */
  acts: Set<() => void>;
  stop(): void;
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
