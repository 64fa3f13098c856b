/**
 * Ends worker threads in mid-write, round after round, two at a time on one store, and reports what they had
 * acknowledged: `STORAGE ROUNDS WHERE`. With `everywhere` this thread has a driver too; with `workers` the addon is loaded
 * in workers alone, and so unloaded with the last of them.
 */
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

import { eventAt } from "../records.mts";
import type { Storage } from "../storage.mts";

const [text, rounds, where] = process.argv.slice(2);
const storage = JSON.parse(text) as Storage;
const acknowledged = new Map<string, number>();

async function round(number: string, enough: number): Promise<void> {
  const worker = new Worker(join(import.meta.dirname, "write-in-worker.mjs"), {
    workerData: { storage, round: number },
    execArgv: [],
  });
  let count = 0;
  await new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.on("message", ([session, index]: [string, number]) => {
      acknowledged.set(session, Math.max(acknowledged.get(session) ?? 0, index));
      count += 1;
      if (count === enough) resolve();
    });
  });
  const ended = once(worker, "exit");
  await worker.terminate();
  await ended;
}

// Imported here, since it loads the addon.
const here = where === "everywhere" ? (await import("../storage.mts")).openPersist(storage) : null;
for (let number = 0; number < Number(rounds); number += 1) {
  const enough = 1 + Math.floor(Math.random() * 200);
  await Promise.all([round(`${number}a`, enough), round(`${number}b`, 2 * enough)]);
  await here?.insertEvent("here", eventAt("here", number + 1));
}
await here?.close();
process.send?.({ acknowledged: [...acknowledged], here: here ? Number(rounds) : 0 });
