/** The cases of `side.mts` that follow sessions, and write to those that are followed. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

import type { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../index.js";
import { eventAt } from "../event.mts";
import { quantile } from "../measure.mts";
import { insertInto } from "./write.mts";

export type OurDriver = SQLiteSessionPersistDriver | PostgresSessionPersistDriver;

/** The names of so many sessions that are followed. */
function followed(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `followed-${number + 1}`);
}

/** Milliseconds on a clock that all processes of a machine share. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Writes `perSecond` events a second, to so many sessions by turns. Each says when it was handed to the driver. */
export async function writePaced(driver: OurDriver, sessions: number, perSecond: number, seconds: number) {
  const ids = followed(sessions);
  const count = perSecond * seconds;
  // Until all who follow have found that nothing is there yet.
  await setTimeout(1000);
  const start = now();
  const writes: Promise<void>[] = [];
  for (let number = 0; number < count; number += 1) {
    const wait = start + (number * 1000) / perSecond - now();
    if (wait > 0) await setTimeout(wait);
    const id = ids[number % sessions]!;
    const event = eventAt(id, Math.floor(number / sessions) + 1);
    writes.push(driver.insertEvent(id, { ...event, payload: { ...event.payload, params: { handedOver: now() } } }));
  }
  await Promise.all(writes);
  return { events: count };
}

/** Follows so many sessions until `count` events came: how long each took from insertEvent to here, in ms. */
export async function follow(driver: OurDriver, sessions: number, count: number) {
  const took: number[] = [];
  const all = new AbortController();
  const followers = followed(sessions).map(async (sessionId) => {
    try {
      for await (const { payload } of driver.tailEvents({ sessionId, signal: all.signal })) {
        took.push(now() - (payload as unknown as { params: { handedOver: number } }).params.handedOver);
        if (took.length === count) all.abort();
      }
    } catch (error) {
      if (!all.signal.aborted) throw error;
    }
  });
  await Promise.all(followers);
  return { median: quantile(took, 0.5), p99: quantile(took, 0.99), came: took.length };
}

/** Both in one process. */
export async function followOwn(driver: OurDriver, sessions: number, perSecond: number, seconds: number) {
  const [figures] = await Promise.all([
    follow(driver, sessions, perSecond * seconds),
    writePaced(driver, sessions, perSecond, seconds),
  ]);
  return figures;
}

/** Whether followers follow the sessions that are written to. */
export type Follows = "theirs" | "others";

/** Does the work while so many followers follow these sessions: how many events came to them. */
async function whileFollowing(
  driver: OurDriver,
  sessionIds: string[],
  followers: number,
  work: () => Promise<unknown>,
): Promise<number> {
  const end = new AbortController();
  let came = 0;
  const following = Array.from({ length: followers }, async (_, number) => {
    const sessionId = sessionIds[number % sessionIds.length]!;
    try {
      for await (const _event of driver.tailEvents({ sessionId, signal: end.signal })) came += 1;
    } catch (error) {
      if (!end.signal.aborted) throw error;
    }
  });
  await work();
  end.abort();
  await Promise.all(following);
  return came;
}

/** `insertInto` sessions that are followed, or while others are. */
export async function insertFollowed(
  driver: OurDriver,
  sessions: number,
  seconds: number,
  followers: number,
  follows: Follows,
) {
  const written = followed(sessions);
  const read = follows === "theirs" ? written : Array.from({ length: followers }, (_, number) => `idle-${number}`);
  let figures: object = {};
  const came = await whileFollowing(driver, read, followers, async () => {
    // Who has just begun to follow asks more often for some seconds.
    if (followers > 0) await setTimeout(5000);
    figures = { ...(await insertInto(driver, written, seconds)), latencies: undefined };
  });
  return { ...figures, came };
}

/** Follows sessions that another process writes to, for `seconds`. */
export async function followFor(driver: OurDriver, sessions: number, followers: number, seconds: number) {
  return { came: await whileFollowing(driver, followed(sessions), followers, () => setTimeout(seconds * 1000)) };
}

/**
 * So many drivers, each with so many followers of sessions that nobody writes to: what part of a core this process takes, and
 * the server whose postmaster has the process id `server`, in percent.
 */
export async function idle(open: () => OurDriver, drivers: number, followers: number, seconds: number, server: number) {
  const opened = Array.from({ length: drivers }, open);
  const end = new AbortController();
  const following = opened.flatMap((driver) =>
    Array.from({ length: followers }, (_, number) =>
      driver
        .tailEvents({ sessionId: `idle-${number}`, signal: end.signal })
        .next()
        .catch(() => {}),
    ),
  );
  // Until all ask as seldom as they do when nothing comes.
  await setTimeout(20_000);
  const [before, serverBefore, start] = [process.cpuUsage(), serverCpu(server), performance.now()];
  await setTimeout(seconds * 1000);
  const { user, system } = process.cpuUsage(before);
  const milliseconds = performance.now() - start;
  const serverMilliseconds = serverCpu(server) - serverBefore;
  end.abort();
  await Promise.all(following);
  await Promise.all(opened.map((driver) => driver.close()));
  return {
    percent: ((user + system) / 1000 / milliseconds) * 100,
    serverPercent: (serverMilliseconds / milliseconds) * 100,
  };
}

/** What the processes of a server have used until now, in ms; 0 for none, and where there is no /proc. */
function serverCpu(postmaster: number): number {
  if (postmaster === 0 || process.platform !== "linux") return 0;
  let ticks = 0;
  for (const id of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      // After the name in parentheses: the state, the parent's id, and further on user and system time, in hundredths.
      const fields = readFileSync(`/proc/${id}/stat`, "utf8").split(") ")[1]!.split(" ");
      if (Number(fields[1]) === postmaster) ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It has ended meanwhile.
    }
  }
  return ticks * 10;
}
