/** The cases of `side.mts` that read. */
import { randomUUID } from "node:crypto";

import { SandboxAgent, type SessionPersistDriver } from "sandbox-agent";

import { eventAt, histories } from "../event.mts";
import { quantile } from "../measure.mts";
import { fill } from "./write.mts";

/** The pages of a session, one after another. */
async function* pagesOf(driver: SessionPersistDriver, sessionId: string, limit: number) {
  let cursor: string | undefined;
  do {
    const page = await driver.listEvents({ sessionId, limit, cursor });
    yield page.items;
    cursor = page.nextCursor;
  } while (cursor);
}

/** Reads a whole session in pages of so many: milliseconds, and memory over idle in MB. */
export async function scan(driver: SessionPersistDriver, limit: number) {
  await driver.getSession("history");
  const idle = process.memoryUsage.rss();
  let peak = idle;
  let events = 0;
  const start = performance.now();
  for await (const items of pagesOf(driver, "history", limit)) {
    events += items.length;
    peak = Math.max(peak, process.memoryUsage.rss());
  }
  return { milliseconds: performance.now() - start, events, overIdle: (peak - idle) / 1e6 };
}

/** Reads whole sessions, a page of each in turn. */
export async function scanInTurns(driver: SessionPersistDriver, limit: number, sessions: number) {
  let events = 0;
  const start = performance.now();
  let open = histories(sessions).map((id) => pagesOf(driver, id, limit));
  while (open.length > 0) {
    const left: typeof open = [];
    for (const pages of open) {
      const page = await pages.next();
      if (page.done) continue;
      events += page.value.length;
      left.push(pages);
    }
    open = left;
  }
  return { anEvent: ((performance.now() - start) / events) * 1000, events };
}

/** Reads whole sessions at once. */
export async function scanAtOnce(driver: SessionPersistDriver, limit: number, sessions: number) {
  let events = 0;
  const start = performance.now();
  await Promise.all(
    histories(sessions).map(async (id) => {
      for await (const items of pagesOf(driver, id, limit)) events += items.length;
    }),
  );
  return { anEvent: ((performance.now() - start) / events) * 1000, events };
}

/** `JSON.parse` alone of such pages, from memory: no driver that gives values can be quicker. */
export function parse(count: number, limit: number) {
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
export async function resume(driver: SessionPersistDriver, baseUrl: string) {
  const sdk = await SandboxAgent.connect({ baseUrl, persist: driver });
  const start = performance.now();
  await sdk.resumeSession("history");
  const milliseconds = performance.now() - start;
  await sdk.dispose();
  return { milliseconds };
}

/** `getSession`, one after another: median and p99 in us. */
async function timeLookups(driver: SessionPersistDriver, goesOn: (calls: number) => boolean) {
  const times: number[] = [];
  for (let call = 0; goesOn(call); call += 1) {
    const start = performance.now();
    await driver.getSession("history");
    times.push((performance.now() - start) * 1000);
  }
  // The first sixth also opens and compiles.
  const warm = times.slice(Math.floor(times.length / 6));
  return { median: quantile(warm, 0.5), p99: quantile(warm, 0.99) };
}

/** `getSession` alone, or while so many sessions write. */
export async function lookup(driver: SessionPersistDriver, writers: number) {
  await fill(driver, 0, 1);
  let writing = true;
  const done = Promise.all(
    Array.from({ length: writers }, async () => {
      const sessionId = randomUUID();
      for (let index = 1; writing; index += 1) await driver.insertEvent(sessionId, eventAt(sessionId, index));
    }),
  );
  const times = await timeLookups(driver, (calls) => calls < 3000);
  writing = false;
  await done;
  return times;
}

/** `getSession` alone, or while so many sessions are read in pages of 100, for `seconds`. */
export async function lookupWhileScanning(driver: SessionPersistDriver, readers: number, seconds: number) {
  let reading = true;
  const done = Promise.all(
    histories(readers).map(async (id) => {
      while (reading) {
        for await (const _ of pagesOf(driver, id, 100)) if (!reading) break;
      }
    }),
  );
  const end = performance.now() + seconds * 1000;
  const times = await timeLookups(driver, () => performance.now() < end);
  reading = false;
  await done;
  return times;
}
