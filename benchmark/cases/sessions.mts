/** The cases of `side.mts` that find, fork and delete sessions. */
import { randomUUID } from "node:crypto";

import { eventAt } from "../event.mts";
import { quantile } from "../measure.mts";
import type { OurDriver } from "./follow.mts";

const PAGES = 200;

/** How long `call` takes, in ms: the median and p99 of many. */
async function timed(call: (number: number) => Promise<{ items: unknown[] }>) {
  const took: number[] = [];
  for (let number = 0; number < PAGES; number += 1) {
    const start = performance.now();
    const { items } = await call(number);
    took.push(performance.now() - start);
    if (items.length !== 50) throw new Error(`the page has ${items.length} items`);
  }
  return { median: quantile(took, 0.5), p99: quantile(took, 0.99) };
}

/** The newest 50 of the sessions that have a label. `count` values are taken by turns. */
export function listByLabel(driver: OurDriver, name: string, count: number) {
  return timed((number) =>
    driver.listSessions({ labels: { [name]: `${name}-${number % count}` }, order: "desc", limit: 50 }),
  );
}

/** The newest 50 events of the session "history". */
export function listNewest(driver: OurDriver) {
  return timed(() => driver.listEvents({ sessionId: "history", order: "desc", limit: 50 }));
}

/** Forks the session "history" and deletes the fork, while another session writes: how long each takes, and its worst wait. */
export async function forkAndDelete(driver: OurDriver) {
  let worst = 0;
  let goesOn = true;
  let write = Promise.resolve();
  const writer = (async () => {
    for (let index = 1; goesOn; index += 1) {
      const start = performance.now();
      write = driver.insertEvent("other", eventAt("other", index));
      await write;
      worst = Math.max(worst, performance.now() - start);
    }
  })();
  const measure = async (work: () => Promise<unknown>) => {
    await write;
    worst = 0;
    const start = performance.now();
    await work();
    const milliseconds = performance.now() - start;
    // The one that waited for it ends after it.
    await write;
    return { milliseconds, wait: worst };
  };
  const id = randomUUID();
  const fork = await measure(() => driver.forkSession("history", { id }));
  const removal = await measure(() => driver.deleteSession(id));
  goesOn = false;
  await writer;
  return {
    fork: fork.milliseconds,
    forkWait: fork.wait,
    delete: removal.milliseconds,
    deleteWait: removal.wait,
  };
}
