/** Opens a file, which adopts its tables, and says when it begins and when it is done: `FILE`. */
import { SQLiteSessionPersistDriver } from "../../../index.js";

process.once("message", async () => {
  const driver = new SQLiteSessionPersistDriver({ filename: process.argv[2] });
  process.send?.("opening");
  await driver.ready();
  process.send?.("ready");
});
process.send?.("loaded");
