/**
 * One side of one case, in a process of its own: `side.mts DATABASE SIDE CASE PLACE ARGUMENTS...`, where the place is a
 * file, or a schema of the server that the `PG*` variables name. It says that it is ready, waits until its standard input
 * ends, and prints its figures as JSON. `measure.mts` starts it.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";

import { InMemorySessionPersistDriver, SandboxAgent, type SessionPersistDriver } from "sandbox-agent";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { openNative } from "./drivers/native.mts";
import { PastedPostgresDriver } from "./drivers/pasted-postgres.mts";
import { PastedDriver } from "./drivers/pasted.mts";
import { TunedDriver } from "./drivers/tuned.mts";
import { eventAt } from "./event.mts";
import { quantile } from "./measure.mts";
import { stream } from "./stream.mts";

export type Side = "ours" | "native" | "tuned" | "pasted";
type Driver = SessionPersistDriver & { close(): Promise<void> };

function openDriver(database: string, side: string, place: string, durability: "full" | "normal"): Driver {
  switch (`${database} ${side}`) {
    case "sqlite ours":
      return new SQLiteSessionPersistDriver({ filename: place, durability });
    case "sqlite native":
      return openNative(place, durability);
    case "sqlite tuned":
      return new TunedDriver(place, durability);
    case "sqlite pasted":
      return new PastedDriver(place);
    case "postgres ours":
      return new PostgresSessionPersistDriver({ schema: place });
    case "postgres pasted":
      return new PastedPostgresDriver(place);
    case "memory sdk":
      return Object.assign(new InMemorySessionPersistDriver({ maxEventsPerSession: 1e9 }), { close: async () => {} });
    default:
      throw new Error(`there is no ${side} for ${database}`);
  }
}

/**
 * `sessions` sessions write for `seconds`, each awaiting every insert: events a second, the loop's delay in ms, the
 * process's CPU time for each in us, and how long each took, in us.
 */
async function insert(driver: Driver, sessions: number, seconds: number) {
  const delays: number[] = [];
  const latencies: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    delays.push(Math.max(0, now - last - 1));
    last = now;
  }, 1);
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    Array.from({ length: sessions }, async () => {
      const sessionId = randomUUID();
      let before = performance.now();
      for (let index = 1; before < end; index += 1) {
        await driver.insertEvent(sessionId, eventAt(sessionId, index));
        const now = performance.now();
        latencies.push(Math.round((now - before) * 1000));
        before = now;
      }
    }),
  );
  const perSecond = (latencies.length / (performance.now() - start)) * 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  clearInterval(timer);
  return {
    perSecond,
    // There is none when the loop never turned.
    delayP99: delays.length > 0 ? quantile(delays, 0.99) : null,
    delayMax: delays.length > 0 ? quantile(delays, 1) : null,
    cpu: (user + system) / latencies.length,
    events: latencies.length,
    latencies,
  };
}

/** `insert`, once the driver has the connections that so many sessions need, and its code is compiled. */
async function insertWarm(driver: Driver, sessions: number, seconds: number) {
  const before = await insert(driver, sessions, seconds / 3);
  const figures = await insert(driver, sessions, seconds);
  return { ...figures, events: before.events + figures.events };
}

/** `insertWarm` with each number of sessions, one after another, for `seconds` each. Latencies in ms. */
async function insertEach(driver: Driver, seconds: number, each: number[]) {
  const figures: Record<string, number> = {};
  let events = 0;
  for (const sessions of each) {
    const one = await insertWarm(driver, sessions, seconds);
    events += one.events;
    figures[`${sessions} perSecond`] = one.perSecond;
    figures[`${sessions} latency`] = quantile(one.latencies, 0.5) / 1000;
  }
  return { ...figures, events };
}

/** Makes a session of `count` events named "history", once per file. */
async function fill(driver: Driver, count: number) {
  await driver.updateSession({
    id: "history",
    agent: "mock",
    agentSessionId: "agent-session-17",
    lastConnectionId: "none",
    createdAt: Date.now(),
    sessionInit: { cwd: "/", mcpServers: [] },
  });
  for (let index = 1; index <= count;) {
    const batch = Array.from({ length: Math.min(1000, count - index + 1) }, () => eventAt("history", index++));
    await Promise.all(batch.map((event) => driver.insertEvent("history", event)));
  }
  return {};
}

/** Reads the whole session in pages of so many: milliseconds, and memory over idle in MB. */
async function scan(driver: Driver, limit: number) {
  await driver.getSession("history");
  const idle = process.memoryUsage.rss();
  let peak = idle;
  let events = 0;
  const start = performance.now();
  let cursor: string | undefined;
  do {
    const page = await driver.listEvents({ sessionId: "history", limit, cursor });
    events += page.items.length;
    cursor = page.nextCursor;
    peak = Math.max(peak, process.memoryUsage.rss());
  } while (cursor);
  return { milliseconds: performance.now() - start, events, overIdle: (peak - idle) / 1e6 };
}

/** `JSON.parse` alone of such pages, from memory: no driver that gives values can be quicker. */
function parse(count: number, limit: number) {
  const pages: string[] = [];
  for (let index = 1; index <= count;) {
    const items = Array.from({ length: Math.min(limit, count - index + 1) }, () => eventAt("history", index++));
    pages.push(JSON.stringify({ items, nextCursor: String(index) }));
  }
  let events = 0;
  const start = performance.now();
  for (const page of pages) events += (JSON.parse(page) as { items: unknown[] }).items.length;
  return { milliseconds: performance.now() - start, events };
}

/** The SDK's `resumeSession` on a real server: milliseconds. */
async function resume(driver: Driver, baseUrl: string) {
  const sdk = await SandboxAgent.connect({ baseUrl, persist: driver });
  const start = performance.now();
  await sdk.resumeSession("history");
  const milliseconds = performance.now() - start;
  await sdk.dispose();
  return { milliseconds };
}

/** `getSession`, one after another, alone or while 32 sessions write: median and p99 in us. */
async function lookup(driver: Driver, writers: number) {
  await fill(driver, 0);
  let writing = true;
  const done = Promise.all(
    Array.from({ length: writers }, async () => {
      const sessionId = randomUUID();
      for (let index = 1; writing; index += 1) await driver.insertEvent(sessionId, eventAt(sessionId, index));
    }),
  );
  const times: number[] = [];
  for (let call = 0; call < 3000; call += 1) {
    const start = performance.now();
    await driver.getSession("history");
    if (call >= 500) times.push((performance.now() - start) * 1000);
  }
  writing = false;
  await done;
  times.sort((a, b) => a - b);
  return { median: times[Math.floor(times.length / 2)], p99: times[Math.floor(times.length * 0.99)] };
}

const [database = "", side = "", name = "", place = "", ...rest] = process.argv.slice(2);
const numbers = rest.map(Number);
const driver = openDriver(database, side, place, rest.includes("normal") ? "normal" : "full");
const cases: Record<string, () => Promise<object>> = {
  insert: async () => ({ ...(await insert(driver, numbers[0] ?? 1, numbers[1] ?? 2)), latencies: undefined }),
  "insert-each": () => insertEach(driver, numbers[0] ?? 1, numbers.slice(1)),
  "insert-warm": () => insertWarm(driver, numbers[0] ?? 1, numbers[1] ?? 2),
  fill: () => fill(driver, numbers[0] ?? 0),
  scan: () => scan(driver, numbers[0] ?? 500),
  parse: async () => parse(numbers[0] ?? 0, numbers[1] ?? 500),
  resume: () => resume(driver, rest[0] ?? ""),
  stream: () => stream(driver, numbers[0] ?? 1, numbers[1] ?? 1, numbers[2] ?? 1),
  lookup: () => lookup(driver, numbers[0] ?? 0),
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
