/** Starts writes and does not wait for them; its main program ends right after: `FILE COUNT END`. */
import { SQLiteSessionPersistDriver } from "../../../index.js";
import { eventAt } from "../records.mts";

const [filename, count, end] = process.argv.slice(2);
const driver = new SQLiteSessionPersistDriver({ filename });
for (let index = 1; index <= Number(count); index += 1) {
  const write = driver.insertEvent("s", eventAt("s", index));
  if (end === "exit-in-mid-write") {
    write.then(() => {
      process.send?.(index);
      if (index === Number(count) / 2) process.exit(3);
    });
  }
}
// Without a close, and with no promise that the main program waits for.
if (end === "exit-at-once") process.exit(4);
