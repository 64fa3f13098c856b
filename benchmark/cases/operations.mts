/** The cases of `side.mts` that make stores smaller, copy and watch them. */
import { randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { rmSync, statSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

import type { SessionEvent, SessionPersistDriver } from "sandbox-agent";

import type { SQLiteSessionPersistDriver } from "../../index.js";
import { eventAt } from "../event.mts";
import { quantile } from "../measure.mts";
import type { OurDriver } from "./follow.mts";
import { insertInto, insertWarm } from "./write.mts";

/** How many of 100 events are chunks of text, in runs of how many. */
const TRANSCRIPTS = { prose: { chunks: 97, run: 97 }, mixed: { chunks: 60, run: 30 } };

export type Transcript = keyof typeof TRANSCRIPTS;

/** Chunks of 3 to 12 characters, as models stream them. */
const WORDS = [
  "The",
  " quick",
  " brown fox",
  " jumps",
  " over the",
  " lazy",
  " dog",
  ".\n\n",
  " And then",
  " it sleeps.",
];

/** An event of a turn that has as many chunks as the transcript says. */
function transcriptEvent(transcript: Transcript, sessionId: string, eventIndex: number): SessionEvent {
  const { chunks, run } = TRANSCRIPTS[transcript];
  const event = eventAt(sessionId, eventIndex);
  const place = (eventIndex - 2) % ((100 * run) / chunks);
  const update =
    place < run
      ? {
          sessionUpdate: "agent_message_chunk",
          content: { type: "text", text: WORDS[eventIndex % WORDS.length] },
        }
      : {
          sessionUpdate: "tool_call_update",
          toolCallId: `call-${eventIndex}`,
          status: "completed",
          content: [
            { type: "content", content: { type: "text", text: `output of call ${eventIndex}: ${"-".repeat(150)}` } },
          ],
        };
  return {
    ...event,
    payload: { jsonrpc: "2.0", method: "session/update", params: { sessionId: "agent-session-17", update } },
  };
}

/** Fills the session "history" with one turn that is over. Gives how many bytes of JSON text its payloads have. */
async function fillTranscript(driver: SessionPersistDriver, transcript: Transcript, count: number): Promise<number> {
  let bytes = 0;
  const insert = (event: SessionEvent) => {
    bytes += JSON.stringify(event.payload).length;
    return driver.insertEvent(event.sessionId, event);
  };
  const [prompt, answer] = [eventAt("history", 1), eventAt("history", count)];
  const params = { sessionId: "agent-session-17", prompt: [{ type: "text", text: "Go on." }] };
  await insert({ ...prompt, sender: "client", payload: { jsonrpc: "2.0", id: 1, method: "session/prompt", params } });
  for (let index = 2; index < count;) {
    const batch = Array.from({ length: Math.min(1000, count - index) }, () =>
      transcriptEvent(transcript, "history", index++),
    );
    await Promise.all(batch.map(insert));
  }
  await insert({ ...answer, payload: { jsonrpc: "2.0", id: 1, result: { stopReason: "end_turn" } } });
  return bytes;
}

/** Compacts a session of so many events: what is left of rows and bytes, in percent, and how many events a second. */
export async function compact(driver: OurDriver, transcript: Transcript, count: number) {
  const bytes = await fillTranscript(driver, transcript, count);
  const start = performance.now();
  const result = await driver.compactSession("history");
  const seconds = (performance.now() - start) / 1000;
  return {
    rows: ((count - result.removed) / count) * 100,
    bytes: ((bytes - result.bytes) / bytes) * 100,
    perSecond: count / seconds,
  };
}

/** What 32 sessions write while `work` goes on: how many events a second, and how long they wait for one, in ms. */
async function writing(driver: OurDriver, work: () => Promise<unknown>) {
  const ids = Array.from({ length: 32 }, () => randomUUID());
  const latencies: number[] = [];
  let goesOn = true;
  const start = performance.now();
  const writers = ids.map(async (id) => {
    for (let index = 1; goesOn; index += 1) {
      const before = performance.now();
      await driver.insertEvent(id, eventAt(id, index));
      latencies.push(performance.now() - before);
    }
  });
  await work();
  const milliseconds = performance.now() - start;
  goesOn = false;
  await Promise.all(writers);
  return {
    milliseconds,
    perSecond: (latencies.length / milliseconds) * 1000,
    worst: quantile(latencies, 1),
    p99: quantile(latencies, 0.99),
  };
}

/** How long `work` takes beside 32 writers, and how long these wait, with it and without. */
async function beside(driver: OurDriver, work: () => Promise<unknown>) {
  const alone = await writing(driver, () => setTimeout(5000));
  const besideIt = await writing(driver, work);
  return {
    seconds: besideIt.milliseconds / 1000,
    worst: besideIt.worst,
    worstAlone: alone.worst,
    p99: besideIt.p99,
    p99Alone: alone.p99,
    perSecond: besideIt.perSecond,
    perSecondAlone: alone.perSecond,
  };
}

/** Prunes all of the session "history" but its last 50 events, beside 32 writers. */
export async function prune(driver: OurDriver) {
  await driver.setLabels("history", { old: "yes" });
  return beside(driver, () => driver.pruneSessions({ labels: { old: "yes" }, keepLastEvents: 50 }));
}

/** Backs the file up beside 32 writers: with the megabytes a second. */
export async function backup(driver: SQLiteSessionPersistDriver, file: string) {
  const target = `${file}.backup`;
  const figures = await beside(driver, () => driver.backup(target));
  const megabytes = statSync(target).size / 1e6;
  rmSync(target);
  return { ...figures, megabytesPerSecond: megabytes / figures.seconds };
}

/** `insertWarm` in sessions that are full all the time. */
export async function insertAtCap(driver: SessionPersistDriver, sessions: number, seconds: number, cap: number) {
  const ids = Array.from({ length: sessions }, () => randomUUID());
  let index = 0;
  while (index < cap) {
    const from = index;
    index = Math.min(cap, from + 100);
    const batch = ids.flatMap((id) => Array.from({ length: index - from }, (_, at) => eventAt(id, from + at + 1)));
    await Promise.all(batch.map((event) => driver.insertEvent(event.sessionId, event)));
  }
  return { ...(await insertInto(driver, ids, seconds, cap + 1)), latencies: undefined };
}

/** `insertWarm` while `stats()` is asked for each second. */
export async function insertWatched(driver: OurDriver, sessions: number, seconds: number) {
  const took: number[] = [];
  const ask = async () => {
    const start = performance.now();
    await driver.stats();
    took.push(performance.now() - start);
  };
  await ask();
  const timer = setInterval(() => void ask(), 1000);
  const figures = await insertWarm(driver, sessions, seconds);
  clearInterval(timer);
  return { ...figures, latencies: undefined, stats: quantile(took, 0.5), statsMost: quantile(took, 1) };
}

/** `insertWarm` while somebody listens to each call, as tracing does. */
export async function insertTraced(driver: SessionPersistDriver, sessions: number, seconds: number) {
  let ended = 0;
  const count = () => (ended += 1);
  subscribe("tracing:sandbox-agent-persist:insertEvent:asyncEnd", count);
  const figures = await insertWarm(driver, sessions, seconds);
  unsubscribe("tracing:sandbox-agent-persist:insertEvent:asyncEnd", count);
  return { ...figures, latencies: undefined, ended };
}

/** How long `stats()` takes in a store of any size, in ms: the first time, and then the median and the longest. */
export async function stats(driver: OurDriver) {
  const took: number[] = [];
  for (let number = 0; number < 100; number += 1) {
    const start = performance.now();
    await driver.stats();
    took.push(performance.now() - start);
  }
  return { first: took[0]!, median: quantile(took.slice(1), 0.5), longest: quantile(took.slice(1), 1) };
}

/** Makes an adopted table a fresh one. */
export async function rebuild(driver: OurDriver) {
  const start = performance.now();
  await driver.rebuild();
  return { seconds: (performance.now() - start) / 1000 };
}
