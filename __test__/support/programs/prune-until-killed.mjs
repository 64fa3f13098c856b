// Prunes, and reports how far it is until it is killed. Not TypeScript: twenty of these are started, one after another.
import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../../index.js";

// `options` has a `filename` for SQLite, and is for Postgres else; `request` is what `pruneSessions` is called with.
process.once("message", async ({ options, request }) => {
  const driver =
    "filename" in options ? new SQLiteSessionPersistDriver(options) : new PostgresSessionPersistDriver(options);
  await driver.pruneSessions({ ...request, onProgress: (progress) => process.send(progress) });
  await driver.close();
  process.send("done");
});
process.send("loaded");
