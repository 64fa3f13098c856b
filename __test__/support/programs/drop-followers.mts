/**
 * Takes one event with each of many followers, and drops them with the rest of their page: `FILE COUNT`. Reports how many
 * were collected, and how much memory the second half of them has left behind.
 */
import { SQLiteSessionPersistDriver } from "../../../index.js";
import { largeEventAt } from "../records.mts";

const [filename, count] = process.argv.slice(2);
const driver = new SQLiteSessionPersistDriver({ filename });
for (let index = 1; index <= 3; index += 1) await driver.insertEvent("s", largeEventAt("s", index, 4_000));
let collected = 0;
const registry = new FinalizationRegistry(() => (collected += 1));
const signal = new AbortController().signal;

async function followAndDrop(): Promise<void> {
  const tail = driver.tailEvents({ sessionId: "s", signal });
  registry.register(tail, undefined);
  await tail.next();
}

async function half(): Promise<number> {
  const before = collected;
  for (let made = 0; made < Number(count) / 2; made += 100)
    await Promise.all(Array.from({ length: 100 }, followAndDrop));
  while (collected < before + Number(count) / 2) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().rss;
}

const first = await half();
const growth = (await half()) - first;
process.send?.({ collected, growth });
