/** Makes drivers and drops them without `close`, then waits until all that they held is released: `FOLDER COUNT`. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { SQLiteSessionPersistDriver } from "../../../index.js";
import { allEvents, eventAt } from "../records.mts";

const [folder, count] = process.argv.slice(2);
const held = () => ({
  threads: readdirSync("/proc/self/task").length,
  files: readdirSync("/proc/self/fd").length,
});
let collected = 0;
const registry = new FinalizationRegistry(() => (collected += 1));

async function makeAndDrop(name: string): Promise<void> {
  const driver = new SQLiteSessionPersistDriver({ filename: join(folder, name) });
  registry.register(driver, name);
  await driver.insertEvent("s", eventAt("s", 1));
  await allEvents(driver, "s");
  // Not awaited: what is under way when the driver is dropped is stored all the same.
  void driver.insertEvent("s", eventAt("s", 2));
}

await makeAndDrop("first.db");
const turn = () => new Promise((resolve) => setImmediate(resolve));
while (collected < 1) {
  globalThis.gc?.();
  await turn();
}
const before = held();
for (let number = 0; number < Number(count); number += 1) await makeAndDrop(`${number}.db`);
const most = held();
while (collected < Number(count) + 1 || held().threads > before.threads || held().files > before.files) {
  globalThis.gc?.();
  await turn();
}
process.send?.({ before, most, after: held() });
