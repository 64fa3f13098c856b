/** Uses drivers in every way that leaves one idle, closes none, and ends its main program: `FOLDER`. */
import { join } from "node:path";

import { SQLiteSessionPersistDriver } from "../../../index.js";
import { allEvents, eventAt, sessionOf } from "../records.mts";

const folder = process.argv[2];
const open = (filename: string) => new SQLiteSessionPersistDriver({ filename });

const used = open(join(folder, "used.db"));
await used.insertEvent("s", eventAt("s", 1));
await used.updateSession(sessionOf("s"));
await allEvents(used, "s");

const memory = open(":memory:");
await memory.ready();

const failed = open(join(folder, "missing", "a.db"));
await failed.ready().catch(() => {});

// Nobody calls these: that the second one cannot be opened must be no unhandled rejection.
open(join(folder, "untouched.db"));
open(join(folder, "missing", "b.db"));
const closed = open(join(folder, "missing", "c.db"));
await closed.close();

process.on("unhandledRejection", () => process.exit(70));
process.on("beforeExit", () => process.send?.("the loop is empty"));
Object.assign(globalThis, { used, memory, failed });
