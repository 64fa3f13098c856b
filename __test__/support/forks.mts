/** Sessions to fork, and what a fork must be of its source. */
import assert from "node:assert/strict";

import { allEvents, eventAt, sessionOf } from "./records.mts";
import type { Persist } from "./storage.mts";

/** A session with events 1 to `last`. */
export async function fill(driver: Persist, id: string, last: number): Promise<void> {
  await driver.updateSession(sessionOf(id));
  for (let index = 1; index <= last;) {
    const some: Promise<void>[] = [];
    for (; index <= last && some.length < 10_000; index += 1) some.push(driver.insertEvent(id, eventAt(id, index)));
    await Promise.all(some);
  }
}

/** The fork has the first events of its source, with nothing missing; says how many. */
export async function assertPrefix(driver: Persist, source: string, fork: string): Promise<number> {
  const events = await allEvents(driver, fork, 10_000);
  for (const [at, { id, ...event }] of events.entries()) {
    const { id: original, ...expected } = eventAt(source, at + 1);
    assert.deepEqual(event, { ...expected, sessionId: fork });
    assert.notEqual(id, original);
  }
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length);
  assert.deepEqual(await driver.getLabels(fork), {
    forkedFrom: source,
    ...(events.length > 0 && { forkedThrough: `${events.length}` }),
  });
  assert.deepEqual(await driver.getSession(fork), { ...sessionOf(source), id: fork });
  return events.length;
}

/** All of a fork that was killed is there, or nothing. */
export async function assertAllOrNothing(driver: Persist, source: string, fork: string, last: number): Promise<void> {
  if (await driver.getSession(fork)) {
    assert.equal(await assertPrefix(driver, source, fork), last);
    return;
  }
  assert.deepEqual(await driver.listEvents({ sessionId: fork }), { items: [] });
  assert.deepEqual(await driver.getLabels(fork), {});
}
