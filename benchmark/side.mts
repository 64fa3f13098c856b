/**
 * One side of one case, in a process of its own: `side.mts SIDE CASE FILE ARGUMENTS...` prints its figures as JSON.
 * `run.mts` starts it.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";

import { SandboxAgent, type SessionEvent, type SessionPersistDriver } from "sandbox-agent";

import { SQLiteSessionPersistDriver } from "../index.js";
import { PastedDriver } from "./drivers/pasted.mts";
import { TunedDriver } from "./drivers/tuned.mts";

export type Side = "ours" | "tuned" | "pasted";
type Driver = SessionPersistDriver & { close(): Promise<void> };

export function openDriver(side: Side, filename: string, durability: "full" | "normal" = "full"): Driver {
  if (side === "ours") return new SQLiteSessionPersistDriver({ filename, durability });
  return side === "tuned" ? new TunedDriver(filename, durability) : new PastedDriver(filename);
}

/** An event of about 440 bytes of JSON text, as an agent streams them. */
export function eventAt(sessionId: string, eventIndex: number): SessionEvent {
  return {
    id: randomUUID(),
    eventIndex,
    sessionId,
    createdAt: Date.now(),
    connectionId: "0d4cf2ad-7a25-4bf5-a2d6-2e6a9e9d3c11",
    sender: "agent",
    payload: {
      jsonrpc: "2.0",
      method: "session/update",
      params: {
        sessionId: "agent-session-17",
        update: {
          sessionUpdate: "agent_message_chunk",
          content: { type: "text", text: `chunk ${eventIndex}: the quick brown fox jumps over the lazy dog, again` },
        },
      },
    },
  };
}

/** `sessions` sessions write for `seconds`, each awaiting every insert: events a second, and the loop's delay in ms. */
async function insert(driver: Driver, sessions: number, seconds: number) {
  const delays: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    delays.push(Math.max(0, now - last - 1));
    last = now;
  }, 1);
  let total = 0;
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    Array.from({ length: sessions }, async () => {
      const sessionId = randomUUID();
      for (let index = 1; performance.now() < end; index += 1) {
        await driver.insertEvent(sessionId, eventAt(sessionId, index));
        total += 1;
      }
    }),
  );
  const perSecond = (total / (performance.now() - start)) * 1000;
  clearInterval(timer);
  delays.sort((a, b) => a - b);
  return {
    perSecond,
    delayP99: delays.length > 0 ? delays[Math.floor(delays.length * 0.99)] : null,
    delayMax: delays.at(-1) ?? null,
  };
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

/** Reads the whole session in pages of 500: milliseconds, and memory over idle in MB. */
async function scan(driver: Driver, pages: number) {
  await driver.getSession("history");
  const idle = process.memoryUsage.rss();
  let peak = idle;
  let events = 0;
  const start = performance.now();
  let cursor: string | undefined;
  do {
    const page = await driver.listEvents({ sessionId: "history", limit: pages, cursor });
    events += page.items.length;
    cursor = page.nextCursor;
    peak = Math.max(peak, process.memoryUsage.rss());
  } while (cursor);
  return { milliseconds: performance.now() - start, events, overIdle: (peak - idle) / 1e6 };
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

const [side, name, filename, ...rest] = process.argv.slice(2);
if (process.argv[1]?.endsWith("side.mts") && side && name && filename) {
  const numbers = rest.map(Number);
  const driver = openDriver(side as Side, filename, rest.includes("normal") ? "normal" : "full");
  const cases: Record<string, () => Promise<object>> = {
    insert: () => insert(driver, numbers[0] ?? 1, numbers[1] ?? 2),
    fill: () => fill(driver, numbers[0] ?? 0),
    scan: () => scan(driver, numbers[0] ?? 500),
    resume: () => resume(driver, rest[0] ?? ""),
    lookup: () => lookup(driver, numbers[0] ?? 0),
  };
  const run = cases[name];
  if (!run) throw new Error(`no case ${name}; there are ${Object.keys(cases).join(", ")}`);
  const result = await run();
  process.emit("cpu" as never);
  await driver.close();
  if (!existsSync(filename)) throw new Error(`the driver left no file at ${filename}`);
  console.log(JSON.stringify(result));
}
