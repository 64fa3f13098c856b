/**
 * Ends worker threads that follow, some while they wait and some while events come: `FILE COUNT`. Plain JavaScript, so that
 * workers start fast. The main thread follows and writes too.
 */
import { once } from "node:events";
import { createRequire } from "node:module";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

const { SQLiteSessionPersistDriver } = createRequire(import.meta.url)("../../../index.js");

const event = (eventIndex) => ({
  id: `e-${eventIndex}`,
  eventIndex,
  sessionId: "s",
  createdAt: 1,
  connectionId: "c",
  sender: "agent",
  payload: { jsonrpc: "2.0", method: "x", params: { text: "x".repeat(500) } },
});

async function endFollowers() {
  const [filename, count] = process.argv.slice(2);
  const driver = new SQLiteSessionPersistDriver({ filename });
  const tail = driver.tailEvents({ sessionId: "s" });
  let index = 0;
  for (let round = 0; round < Number(count); round += 1) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { filename, after: index } });
    await once(worker, "message");
    for (const end = index + (round % 3) * 20; index < end;) {
      index += 1;
      await driver.insertEvent("s", event(index));
    }
    await worker.terminate();
  }
  for (let next = 1; next <= index; next += 1) {
    const { value } = await tail.next();
    if (value.eventIndex !== next) throw new Error(`event ${value.eventIndex} came instead of ${next}`);
  }
  await tail.return();
  await driver.close();
  process.send(index);
  process.disconnect();
}

async function follow() {
  const { filename, after } = workerData;
  const driver = new SQLiteSessionPersistDriver({ filename });
  await driver.ready();
  const follow = async (sessionId) => {
    for await (const { eventIndex } of driver.tailEvents({ sessionId, afterIndex: after })) void eventIndex;
  };
  for (const session of ["s", "s", "other"]) void follow(session);
  parentPort.postMessage("following");
}

await (isMainThread ? endFollowers() : follow());
