/** Writes to Postgres from several sessions at once until it is told to stop, or killed, and reports what is acknowledged. */
import { inspect } from "node:util";

import type { PostgresSessionPersistDriverOptions } from "../../../index.js";
import { PostgresSessionPersistDriver } from "../../../index.js";
import { allEvents, eventAt, sessionOf } from "../records.mts";

export interface Load {
  options: PostgresSessionPersistDriverOptions;
  sessions: string[];
}

/** An acknowledged write: the session, and the event's index; or the negative index that the session's record names. */
export type Acknowledged = [session: number, index: number];

/** What is said at the end, and when a call is rejected: the errors so far. */
export interface Farewell {
  failed: string[];
}

/** A record after so many events. */
const RECORD_EVERY = 10;

async function work({ options, sessions }: Load): Promise<void> {
  const driver = new PostgresSessionPersistDriver(options);
  const failed: string[] = [];
  let told = false;
  process.once("message", () => (told = true));

  let report: Acknowledged[] = [];
  const acknowledge = (session: number, index: number) => {
    if (report.length === 0) {
      // The promises of one batch settle together: one message tells of them all.
      queueMicrotask(() => {
        process.send?.(report);
        report = [];
      });
    }
    report.push([session, index]);
  };

  await Promise.all(
    sessions.map(async (session, number) => {
      try {
        let index = (await allEvents(driver, session)).length;
        while (!told) {
          index += 1;
          const event = eventAt(session, index);
          await driver.insertEvent(session, event);
          acknowledge(number, event.eventIndex);
          if (index % RECORD_EVERY > 0) continue;
          await driver.updateSession(sessionOf(session, { lastConnectionId: String(index) }));
          acknowledge(number, -index);
        }
      } catch (error) {
        failed.push(inspect(error, { depth: null, showHidden: true }));
        process.send?.({ failed } satisfies Farewell);
      }
    }),
  );
  await driver.close();
  process.send?.({ failed } satisfies Farewell, () => process.disconnect());
}

if (process.argv[1] === import.meta.filename) {
  process.once("message", (load: Load) => void work(load));
  process.send?.("loaded");
}
