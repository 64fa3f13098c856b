/**
 * Workers that are ended, one after another, while pages of 20 MB are on their way to them. Sends by how many bytes the
 * process has grown since the first of them. Arguments: the file, and how many workers.
 */
import { once } from "node:events";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

import { SQLiteSessionPersistDriver } from "../../../index.js";

const EVENTS = 10;
const EVENT_BYTES = 2_000_000;
const PAGES = 4;

const event = (eventIndex) => ({
  id: `e-${eventIndex}`,
  eventIndex,
  sessionId: "s",
  createdAt: 1,
  connectionId: "c",
  sender: "agent",
  payload: { jsonrpc: "2.0", method: "x", params: { text: "x".repeat(EVENT_BYTES) } },
});

async function endReaders() {
  const [filename, count] = process.argv.slice(2);
  const driver = new SQLiteSessionPersistDriver({ filename });
  for (let index = 1; index <= EVENTS; index += 1) await driver.insertEvent("s", event(index));
  await driver.close();
  let before = 0;
  for (let round = 0; round <= Number(count); round += 1) {
    const worker = new Worker(new URL(import.meta.url), { workerData: filename });
    await once(worker, "message");
    await worker.terminate();
    if (round === 0) before = process.memoryUsage().rss;
  }
  process.send(process.memoryUsage().rss - before);
  process.disconnect();
}

async function readInVain() {
  const driver = new SQLiteSessionPersistDriver({ filename: workerData });
  await driver.ready();
  for (let page = 0; page < PAGES; page += 1) void driver.listEvents({ sessionId: "s" });
  parentPort.postMessage("reading");
  // This thread takes no page: it stands still until it is terminated.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

await (isMainThread ? endReaders() : readInVain());
