// Inserts events as the SDK does when the index is taken, because another process or SDK has written to the session.
import assert from "node:assert/strict";

import type { SessionEvent, SessionPersistDriver } from "sandbox-agent" with { "resolution-mode": "import" };

import { event } from "./records.ts";

/** As often as the SDK tries. */
const TRIES = 3;

/** What the SDK looks for in the message of an error: it then takes its next index. */
const TAKEN = /UNIQUE constraint failed: .*session_id, .*event_index/;

/** Inserts an event at `index`, or at the SDK's next ones. Returns it as it was stored, under the id of the last try. */
export async function insertAsSdk(
  driver: SessionPersistDriver,
  sessionId: string,
  index: number,
  writer: string,
): Promise<SessionEvent> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const id = `${sessionId}-${writer}-${index}-${attempt}`;
    const given = event(sessionId, index + attempt, { id });
    try {
      await driver.insertEvent(sessionId, given);
      return given;
    } catch (error) {
      const { message } = error as Error;
      assert.match(
        String(message),
        TAKEN,
        "insertEvent was refused in words that the SDK takes for the loss of the event",
      );
    }
  }
  assert.fail(`insertEvent refused index ${index} and the ${TRIES - 1} after it: the SDK gives the event up`);
}
