/** Opens and closes drivers, and says how many threads and files the process has before and after: `FOLDER COUNT`. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

import { SQLiteSessionPersistDriver } from "../../../index.js";
import { allEvents, eventAt } from "../records.mts";

const [folder, count] = process.argv.slice(2);
const held = () => ({
  threads: readdirSync("/proc/self/task").length,
  files: readdirSync("/proc/self/fd").length,
});

async function use(filename: string): Promise<SQLiteSessionPersistDriver> {
  const driver = new SQLiteSessionPersistDriver({ filename });
  await driver.insertEvent("s", eventAt("s", 1));
  await Promise.all([allEvents(driver, "s"), driver.getSession("s"), driver.listSessions()]);
  return driver;
}

await (await use(join(folder, "first.db"))).close();
const before = held();
const open: SQLiteSessionPersistDriver[] = [];
for (let number = 0; number < Number(count); number += 1) {
  open.push(await use(number % 2 ? join(folder, `${number}.db`) : ":memory:"));
}
const most = held();
await Promise.all(open.map((driver) => driver.close()));
// A thread that has closed everything still takes a moment to end.
while (held().threads > before.threads) await new Promise((resolve) => setImmediate(resolve));
process.send?.({ before, most, after: held() });
