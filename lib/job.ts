// Waits for work that takes many calls to the database, tells how far it is, and ends it when the caller's signal is aborted.
import { signalOf, whenAborted } from "./abort.ts";
import type { NativeJob } from "./addon.ts";
import { abortError, createError } from "./realm.ts";

/** What the caller may pass to watch the work, and to end it. */
interface Options<Progress> {
  onProgress?: (progress: Progress) => void;
  signal?: unknown;
}

/**
 * Begins a job and waits for its result. What it has done until it is ended stays done. `start` may throw, and so may what the
 * caller's options do when they are read.
 */
export async function finish<Result, Progress = never>(
  start: () => NativeJob<Result, Progress>,
  options: Options<Progress> | undefined,
): Promise<Result> {
  const signal = signalOf(options, "options");
  const tell = callbackOf(options);
  if (signal?.aborted) throw abortError(signal.reason);
  let job: NativeJob<Result, Progress> | undefined;
  // Before it begins: a signal that cannot be listened to would not end it.
  const stopListening = signal && whenAborted(signal, () => job?.end());
  try {
    job = start();
    // What reads the options runs code of the caller's.
    if (signal?.aborted) throw abortError(signal.reason);
    for (;;) {
      const said = await job.next();
      if (said && "result" in said) return said.result;
      // It ends for nothing but the signal.
      if (!said) throw abortError(signal?.reason);
      tell?.(said.progress);
    }
  } finally {
    // Where the caller's function threw, nobody waits for the rest.
    job?.end();
    stopListening?.();
  }
}

function callbackOf<Progress>(options: Options<Progress> | undefined): ((progress: Progress) => void) | undefined {
  let onProgress: unknown;
  try {
    onProgress = options?.onProgress;
  } catch (cause) {
    throw createError("ERR_PERSIST_INVALID_ARGUMENT", "reading the field onProgress threw (see `cause`)", { cause });
  }
  if (onProgress === undefined) return undefined;
  if (typeof onProgress === "function") return onProgress as (progress: Progress) => void;
  throw createError("ERR_PERSIST_INVALID_ARGUMENT", "options.onProgress must be a function");
}
