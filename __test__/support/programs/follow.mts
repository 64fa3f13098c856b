/**
 * Follows a session and closes nothing: `FILE HOW`. It reports each event that it takes: with `idle` one, after which nobody
 * waits, and with `waits` a second one.
 */
import { SQLiteSessionPersistDriver } from "../../../index.js";

const [filename, how] = process.argv.slice(2);
const tail = new SQLiteSessionPersistDriver({ filename }).tailEvents({ sessionId: "s" });
const report = async () => process.send?.((await tail.next()).value?.eventIndex);
await report();
if (how === "waits") await report();
process.on("beforeExit", () => process.send?.("the loop is empty"));
Object.assign(globalThis, { tail });
