/** Runs the suite of the order of events against the SQLite driver: two drivers on one file. */
import { join } from "node:path";
import { SQLiteSessionPersistDriver } from "../index.js";
import { order } from "./suites/order.mts";
import { directory } from "./support/directory.mts";

order("SQLite on a file", (t) => {
  const filename = join(directory(t), "order.db");
  return async (options) => new SQLiteSessionPersistDriver({ filename, ...options });
});
