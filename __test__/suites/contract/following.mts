/** Following a session: what is stored, then what comes. A driver without `tailEvents` skips the group. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionEvent } from "sandbox-agent";
import type { Suite } from "./driver.mts";
import { event, range } from "./records.mts";

/** The next `count` events. */
async function take(tail: AsyncIterator<SessionEvent>, count: number): Promise<SessionEvent[]> {
  const events: SessionEvent[] = [];
  while (events.length < count) {
    const { done, value } = await tail.next();
    assert.ok(!done, `the iterator ended after ${events.length} events`);
    events.push(value);
  }
  return events;
}

export function following({ name, fresh, ours }: Suite): void {
  describe(`${name}: following`, { skip: !ours && "it cannot follow" }, () => {
    test("what is stored comes first, then what is written, each event as it was", async (t) => {
      const driver = await fresh(t);
      const stored = range(1, 4).map((index) =>
        event("s", index, { index, text: "\u0000\ud800" }, { extra: [index] } as object),
      );
      for (const each of stored) await driver.insertEvent("s", each);
      await driver.insertEvent("other", event("other", 1));
      const tail = driver.tailEvents!({ sessionId: "s" });
      assert.deepEqual(await take(tail, 3), stored);
      const next = tail.next();
      const live = event("s", 4, { live: true });
      await driver.insertEvent("s", live);
      assert.deepEqual(await next, { done: false, value: live });
      await tail.return!();
    });
  });
}
