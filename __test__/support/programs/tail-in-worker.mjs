/** A worker thread that follows a session for as long as it lives, and tells of each event. Plain JavaScript, so that it starts fast. */
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";

const { SQLiteSessionPersistDriver, PostgresSessionPersistDriver } = createRequire(import.meta.url)(
  "../../../index.js",
);

/** Where the worker follows is a `Storage`, as in `storage.mts`. */
const { storage, sessionId } = workerData;
const Driver = storage.driver === "SQLite" ? SQLiteSessionPersistDriver : PostgresSessionPersistDriver;
const driver = new Driver(storage.options);
for await (const { eventIndex } of driver.tailEvents({ sessionId })) parentPort.postMessage(eventIndex);
