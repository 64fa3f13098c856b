/** A worker thread that writes from 8 sessions at once, for as long as it lives. Plain JavaScript, so that it starts fast. */
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";

const { SQLiteSessionPersistDriver, PostgresSessionPersistDriver } = createRequire(import.meta.url)(
  "../../../index.js",
);

/** Where the worker stores is a `Storage`, as in `storage.mts`. */
const { storage, round } = workerData;
const Driver = storage.driver === "SQLite" ? SQLiteSessionPersistDriver : PostgresSessionPersistDriver;
const driver = new Driver(storage.options);
const write = async (number) => {
  const sessionId = `round-${round}-session-${number}`;
  for (let eventIndex = 1; ; eventIndex += 1) {
    await driver.insertEvent(sessionId, {
      id: `${sessionId}-${eventIndex}`,
      eventIndex,
      sessionId,
      createdAt: eventIndex,
      connectionId: "c",
      sender: "agent",
      payload: { jsonrpc: "2.0", method: "x", params: { text: "x".repeat(500) } },
    });
    parentPort.postMessage([sessionId, eventIndex]);
    if (eventIndex % 5 === 0) void driver.listEvents({ sessionId, limit: 50 });
  }
};
for (let number = 0; number < 8; number += 1) void write(number);
