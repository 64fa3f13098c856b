/** Inserts and scans for a long time, and says how much memory the process has before and after: `FILE INSERTS SCANS`. */
import { SQLiteSessionPersistDriver } from "../../../index.js";
import { allEvents, eventAt } from "../records.mts";

const [filename, inserts, scans] = process.argv.slice(2);
// Without an fsync for every batch: the subject is memory, and the disk would only take time.
const driver = new SQLiteSessionPersistDriver({ filename, durability: "normal" });
let session = 0;

/** 32 sessions at once write `count` events in all, each session 1,000; then the last one is scanned. */
async function insert(count: number): Promise<void> {
  let left = count;
  const strand = async () => {
    while (left > 0) {
      left -= 1_000;
      session += 1;
      const id = `session-${session}`;
      for (let index = 1; index <= 1_000; index += 1) await driver.insertEvent(id, eventAt(id, index));
    }
  };
  await Promise.all(Array.from({ length: 32 }, strand));
}

async function scan(count: number): Promise<void> {
  for (let number = 1; number <= count; number += 1) {
    const events = await allEvents(driver, `session-${(number % session) + 1}`);
    if (events.length !== 1_000) throw new Error(`a scan found ${events.length} events`);
  }
}

async function memory(): Promise<{ rss: number; heap: number }> {
  for (let turn = 0; turn < 5; turn += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heap: heapUsed };
}

// The caches of SQLite and the heap of V8 first grow to the size that they keep.
await insert(40_000);
await scan(40);
const before = await memory();
await insert(Number(inserts));
const between = await memory();
await scan(Number(scans));
const after = await memory();
await driver.close();
process.send?.({ before, between, after, sessions: session });
