/** The cases of `side.mts` that write. */
import { randomUUID } from "node:crypto";

import type { SessionPersistDriver } from "sandbox-agent";

import { eventAt, histories } from "../event.mts";
import { quantile } from "../measure.mts";

/** `insertInto` as many new sessions. */
export function insert(driver: SessionPersistDriver, sessions: number, seconds: number) {
  const ids = Array.from({ length: sessions }, () => randomUUID());
  return insertInto(driver, ids, seconds);
}

/**
 * These sessions write for `seconds` from `firstIndex` on, each awaiting every insert: events a second, the loop's delay in ms, the
 * process's CPU time for each in us, and how long each took, in us.
 */
export async function insertInto(driver: SessionPersistDriver, sessionIds: string[], seconds: number, firstIndex = 1) {
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
    sessionIds.map(async (sessionId) => {
      let before = performance.now();
      for (let index = firstIndex; before < end; index += 1) {
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
export async function insertWarm(driver: SessionPersistDriver, sessions: number, seconds: number) {
  const before = await insert(driver, sessions, seconds / 3);
  const figures = await insert(driver, sessions, seconds);
  return { ...figures, events: before.events + figures.events };
}

/** `insertWarm` with each number of sessions, one after another, for `seconds` each. Latencies in ms. */
export async function insertEach(driver: SessionPersistDriver, seconds: number, each: number[]) {
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

/** Makes so many sessions of `count` events each, once per file. */
export async function fill(driver: SessionPersistDriver, count: number, sessions: number) {
  for (const id of histories(sessions)) {
    await driver.updateSession({
      id,
      agent: "mock",
      agentSessionId: "agent-session-17",
      lastConnectionId: "none",
      createdAt: Date.now(),
      sessionInit: { cwd: "/", mcpServers: [] },
    });
    for (let index = 1; index <= count;) {
      const batch = Array.from({ length: Math.min(1000, count - index + 1) }, () => eventAt(id, index++));
      await Promise.all(batch.map((event) => driver.insertEvent(id, event)));
    }
  }
  return {};
}

/**
 * `count` writes of 32 sessions that nobody awaits before the last one is made: inserts a second, and the longest turn of
 * the loop in ms, not counting the one that makes them.
 */
export async function burst(driver: SessionPersistDriver, count: number) {
  const sessionIds = Array.from({ length: 32 }, () => randomUUID());
  const events = Array.from({ length: count }, (_, position) =>
    eventAt(sessionIds[position % 32]!, Math.floor(position / 32) + 1),
  );
  const start = performance.now();
  const written = Promise.all(events.map((event) => driver.insertEvent(event.sessionId, event)));
  let longest = 0;
  let last = performance.now();
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 1);
    last = now;
  };
  const timer = setInterval(turn, 1);
  await written;
  // The last turn may be the only one.
  turn();
  clearInterval(timer);
  return { perSecond: (count / (last - start)) * 1000, longestTurn: longest, events: count };
}
