/** Uses Postgres drivers in ways that bear on the life of their process, and ends: `TASK OPTIONS`. */
import { readdirSync } from "node:fs";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../../../index.js";
import { allEvents, eventAt, sessionOf } from "../records.mts";

const [task, text] = process.argv.slice(2);
const options = JSON.parse(text) as PostgresSessionPersistDriverOptions;
const DRIVERS = 40;
const WRITES = 500;

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
  default:
    write();
}
