/** Uses Postgres drivers in ways that bear on the life of their process, and ends: `TASK OPTIONS`. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

import type { PostgresSessionPersistDriverOptions } from "../../../index.js";
import { allEvents, eventAt, sessionOf } from "../records.mts";

const [task, text] = process.argv.slice(2);
const options = JSON.parse(text) as PostgresSessionPersistDriverOptions;
const DRIVERS = 40;
const WRITES = 500;

/** Not before it is needed: with workers alone, this thread is not to load the addon. */
const { PostgresSessionPersistDriver } =
  task === "end-workers" ? ({} as Awaited<typeof import("../../../index.js")>) : await import("../../../index.js");
const open = (over: PostgresSessionPersistDriverOptions = {}) =>
  new PostgresSessionPersistDriver({ ...options, ...over });

const held = () => ({
  threads: readdirSync("/proc/self/task").length,
  files: readdirSync("/proc/self/fd").length,
});
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Leaves one driver idle, one that failed, and two that nobody calls; closes none. */
async function idle(): Promise<void> {
  const nowhere = { connectionString: "postgres://user@127.0.0.1:1/database", queryTimeoutMs: 50 };
  const used = open();
  await used.insertEvent("s", eventAt("s", 1));
  await used.updateSession(sessionOf("s"));
  await allEvents(used, "s");
  const failed = open(nowhere);
  await failed.ready().catch(() => {});
  Object.assign(globalThis, { used, failed, untouched: [open(), open(nowhere)] });
  process.on("beforeExit", () => process.send?.("the loop is empty"));
}

/** Starts writes, waits for none, and ends the main program, or the whole process. */
function write(): void {
  const driver = open();
  for (let index = 1; index <= WRITES; index += 1) {
    const stored = driver.insertEvent("s", eventAt("s", index));
    if (task !== "exit-in-mid-write") continue;
    stored.then(() => {
      process.send?.(index);
      if (index === 1) process.exit(3);
    });
  }
  if (task === "exit-at-once") process.exit(3);
  if (task === "write") process.send?.("the main program has ended");
}

async function use(): Promise<InstanceType<typeof PostgresSessionPersistDriver>> {
  const driver = open();
  await driver.insertEvent("s", eventAt("s", 1));
  await Promise.all([allEvents(driver, "s"), driver.getSession("s"), driver.listSessions()]);
  return driver;
}

/** Opens drivers, ends them all, and tells what the process holds before, meanwhile and after. */
async function openAndClose(): Promise<void> {
  await (await use()).close();
  const before = held();
  const drivers = [];
  // Few at a time, since the server has not so many connections.
  let most = before;
  for (let round = 0; round < DRIVERS / 10; round += 1) {
    for (let number = 0; number < 10; number += 1) drivers.push(await use());
    most = held();
    await Promise.all(drivers.splice(0).map((driver) => driver.close()));
  }
  // A thread that has closed everything still takes a moment to end.
  while (held().threads > before.threads) await turn();
  process.send?.({ before, most, after: held() });
}

async function drop(): Promise<void> {
  let collected = 0;
  const registry = new FinalizationRegistry(() => (collected += 1));
  const makeAndDrop = async (index: number) => {
    const driver = await use();
    registry.register(driver, index);
    // Not awaited: what is under way when the driver is dropped is stored all the same.
    void driver.insertEvent("s", eventAt("s", index));
  };
  const settled = async (count: number, then?: ReturnType<typeof held>) => {
    while (collected < count || (then && (held().threads > then.threads || held().files > then.files))) {
      globalThis.gc?.();
      await turn();
    }
  };
  await makeAndDrop(2);
  await settled(1);
  const before = held();
  let most = before;
  for (let number = 1; number < DRIVERS; number += 1) {
    await makeAndDrop(number + 2);
    if (held().files > most.files) most = held();
    if (number % 10 === 0) await settled(number - 5);
  }
  await settled(DRIVERS, before);
  process.send?.({ before, most, after: held() });
}

/** Ends worker threads in mid-write, and tells what they had acknowledged. */
async function endWorkers(): Promise<void> {
  const acknowledged = new Map<string, number>();
  const round = async (number: string, enough: number) => {
    const worker = new Worker(join(import.meta.dirname, "write-in-worker.mjs"), {
      workerData: { storage: { driver: "Postgres", options }, round: number },
      execArgv: [],
    });
    let count = 0;
    await new Promise<void>((resolve, reject) => {
      worker.once("error", reject);
      worker.on("message", ([session, index]: [string, number]) => {
        acknowledged.set(session, Math.max(acknowledged.get(session) ?? 0, index));
        count += 1;
        if (count === enough) resolve();
      });
    });
    const ended = once(worker, "exit");
    await worker.terminate();
    await ended;
  };
  const here = task === "end-everywhere" ? open() : undefined;
  for (let number = 0; number < 10; number += 1) {
    const enough = 1 + Math.floor(Math.random() * 200);
    await Promise.all([round(`${number}a`, enough), round(`${number}b`, 2 * enough)]);
    await here?.insertEvent("here", eventAt("here", number + 1));
  }
  await here?.close();
  process.send?.([...acknowledged]);
}

switch (task) {
  case "idle":
    await idle();
    break;
  case "open-and-close":
    await openAndClose();
    break;
  case "drop":
    await drop();
    break;
  case "end-everywhere":
  case "end-workers":
    await endWorkers();
    break;
  default:
    write();
}
