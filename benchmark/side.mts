/**
 * One side of one case, in a process of its own: `side.mts DATABASE SIDE CASE PLACE ARGUMENTS...`, where the place is a
 * file, or a schema of the server that the `PG*` variables name. It says that it is ready, waits until its standard input
 * ends, and prints its figures as JSON. `measure.mts` starts it.
 */
import { once } from "node:events";
import { existsSync } from "node:fs";

import { InMemorySessionPersistDriver, type SessionPersistDriver } from "sandbox-agent";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import {
  follow,
  followFor,
  followOwn,
  idle,
  insertFollowed,
  type Follows,
  type OurDriver,
  writePaced,
} from "./cases/follow.mts";
import {
  backup,
  compact,
  insertAtCap,
  insertTraced,
  insertWatched,
  prune,
  rebuild,
  stats,
  type Transcript,
} from "./cases/operations.mts";
import { lookup, lookupWhileScanning, parse, resume, scan, scanAtOnce, scanInTurns } from "./cases/read.mts";
import { forkAndDelete, listByLabel, listNewest } from "./cases/sessions.mts";
import { stream } from "./cases/stream.mts";
import { burst, fill, insert, insertEach, insertWarm } from "./cases/write.mts";
import { openNative } from "./drivers/native.mts";
import { PastedPostgresDriver } from "./drivers/pasted-postgres.mts";
import { PastedDriver } from "./drivers/pasted.mts";
import { TunedDriver } from "./drivers/tuned.mts";

/** How many events the sessions of a capped driver have. */
const CAP = 500;

export type Side = "ours" | "native" | "tuned" | "pasted";
type Driver = SessionPersistDriver & { close(): Promise<void> };

function openDriver(database: string, side: string, place: string, durability: "full" | "normal"): Driver {
  switch (`${database} ${side}`) {
    case "sqlite ours":
      return new SQLiteSessionPersistDriver({ filename: place, durability });
    case "sqlite capped":
      return new SQLiteSessionPersistDriver({ filename: place, maxEventsPerSession: CAP });
    case "sqlite native":
      return openNative(place, durability);
    case "sqlite tuned":
      return new TunedDriver(place, durability);
    case "sqlite pasted":
      return new PastedDriver(place);
    case "postgres ours":
      return new PostgresSessionPersistDriver({ schema: place });
    case "postgres capped":
      return new PostgresSessionPersistDriver({ schema: place, maxEventsPerSession: CAP });
    case "postgres pasted":
      return new PastedPostgresDriver(place);
    case "memory sdk":
      return Object.assign(new InMemorySessionPersistDriver({ maxEventsPerSession: 1e9 }), { close: async () => {} });
    default:
      throw new Error(`there is no ${side} for ${database}`);
  }
}

const [database = "", side = "", name = "", place = "", ...rest] = process.argv.slice(2);
// Beside numbers there is a durability or a URL.
const numbers = rest.map(Number).filter(Number.isFinite);
const driver = openDriver(database, side, place, rest.includes("normal") ? "normal" : "full");
/** For cases that only drivers of this package can do. */
const ours = driver as OurDriver;
const openOurs = () => openDriver(database, side, place, "full") as OurDriver;
const cases: Record<string, () => Promise<object>> = {
  insert: async () => ({ ...(await insert(driver, numbers[0] ?? 1, numbers[1] ?? 2)), latencies: undefined }),
  "insert-each": () => insertEach(driver, numbers[0] ?? 1, numbers.slice(1)),
  "insert-warm": () => insertWarm(driver, numbers[0] ?? 1, numbers[1] ?? 2),
  burst: () => burst(driver, numbers[0] ?? 1),
  fill: () => fill(driver, numbers[0] ?? 0, numbers[1] ?? 1),
  scan: () => scan(driver, numbers[0] ?? 500),
  "scan-in-turns": () => scanInTurns(driver, numbers[0] ?? 500, numbers[1] ?? 1),
  "scan-at-once": () => scanAtOnce(driver, numbers[0] ?? 500, numbers[1] ?? 1),
  parse: async () => parse(numbers[0] ?? 0, numbers[1] ?? 500),
  resume: () => resume(driver, rest[0] ?? ""),
  lookup: () => lookup(driver, numbers[0] ?? 0),
  "lookup-while-scanning": () => lookupWhileScanning(driver, numbers[0] ?? 0, numbers[1] ?? 1),
  stream: () => stream(driver, numbers[0] ?? 1, numbers[1] ?? 1, numbers[2] ?? 1),
  "write-paced": () => writePaced(ours, numbers[0] ?? 1, numbers[1] ?? 1, numbers[2] ?? 1),
  follow: () => follow(ours, numbers[0] ?? 1, numbers[1] ?? 1),
  "follow-own": () => followOwn(ours, numbers[0] ?? 1, numbers[1] ?? 1, numbers[2] ?? 1),
  "follow-for": () => followFor(ours, numbers[0] ?? 1, numbers[1] ?? 1, numbers[2] ?? 1),
  "insert-followed": () => insertFollowed(ours, numbers[0] ?? 1, numbers[1] ?? 1, numbers[2] ?? 1, rest[3] as Follows),
  idle: () => idle(openOurs, numbers[0] ?? 1, numbers[1] ?? 1, numbers[2] ?? 1, numbers[3] ?? 0),
  "list-by-label": () => listByLabel(ours, rest[0] ?? "", numbers[0] ?? 1),
  "list-newest": () => listNewest(ours),
  "fork-and-delete": () => forkAndDelete(ours),
  compact: () => compact(ours, rest[0] as Transcript, numbers[0] ?? 1),
  prune: () => prune(ours),
  backup: () => backup(driver as SQLiteSessionPersistDriver, place),
  rebuild: () => rebuild(ours),
  stats: () => stats(ours),
  "insert-at-cap": () => insertAtCap(driver, numbers[0] ?? 1, numbers[1] ?? 1, CAP),
  "insert-watched": () => insertWatched(ours, numbers[0] ?? 1, numbers[1] ?? 1),
  "insert-traced": () => insertTraced(driver, numbers[0] ?? 1, numbers[1] ?? 1),
};
const run = cases[name];
if (!run) throw new Error(`no case ${name}; there are ${Object.keys(cases).join(", ")}`);
// Opening is no part of any figure.
await driver.getSession("nobody");
console.log("ready");
await once(process.stdin.resume(), "end");
const result = await run();
await driver.close();
if (database === "sqlite" && !existsSync(place)) throw new Error(`the driver left no file at ${place}`);
console.log(JSON.stringify(result));
