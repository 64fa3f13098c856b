/** Takes three events of a long session, stops for as long as it is told, and reads on to the end: `FILE COUNT`. */
import { SQLiteSessionPersistDriver } from "../../../index.js";

const [filename, count] = process.argv.slice(2);
const driver = new SQLiteSessionPersistDriver({ filename });
await driver.ready();
const before = process.memoryUsage().rss;
const tail = driver.tailEvents({ sessionId: "s" });
let index = 0;
const take = async (upTo: number) => {
  while (index < upTo) {
    const { value } = await tail.next();
    if (value?.eventIndex !== index + 1) throw new Error(`event ${value?.eventIndex} came after ${index}`);
    index += 1;
  }
};
await take(3);
process.once("message", async () => {
  process.send?.(process.memoryUsage().rss - before);
  await take(Number(count));
  process.send?.(index);
  await driver.close();
  process.disconnect();
});
process.send?.("sleeping");
