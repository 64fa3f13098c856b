/** Writes from 16 sessions at once until it is killed, and reports what has been acknowledged: `FILE`. */
import { SQLiteSessionPersistDriver } from "../../../index.js";
import { allEvents, eventAt, sessionOf } from "../records.mts";

export const SESSIONS = Array.from({ length: 16 }, (_, number) => `session-${number}`);

/** An acknowledged write: the session, and the event's index; or the negative index that the session's record names. */
export type Acknowledged = [session: number, index: number];

if (process.argv[1] === import.meta.filename) {
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

  const write = async (driver: SQLiteSessionPersistDriver, number: number) => {
    const session = SESSIONS[number];
    let index = (await allEvents(driver, session)).length;
    for (;;) {
      index += 1;
      await driver.insertEvent(session, eventAt(session, index));
      acknowledge(number, index);
      if (index % 10 === 0) {
        await driver.updateSession(sessionOf(session, { lastConnectionId: String(index) }));
        acknowledge(number, -index);
      }
    }
  };

  process.once("message", () => {
    process.send?.("opening");
    const driver = new SQLiteSessionPersistDriver({ filename: process.argv[2] });
    for (const number of SESSIONS.keys()) void write(driver, number);
  });
  process.send?.("loaded");
}
