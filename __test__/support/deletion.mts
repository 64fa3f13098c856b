/** Sessions that are to be deleted: what each has, and what is left of them. */
import type { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../index.js";
import { allEvents, eventAt, sessionOf } from "./records.mts";

export type Driver = SQLiteSessionPersistDriver | PostgresSessionPersistDriver;

/** Stores a record, labels and so many events. */
export async function fill(driver: Driver, session: string, events = 3): Promise<void> {
  await Promise.all([
    driver.updateSession(sessionOf(session)),
    driver.setLabels(session, { user: "u1" }),
    ...Array.from({ length: events }, (_, number) => driver.insertEvent(session, eventAt(session, number + 1))),
  ]);
}

/** How much there is of a session. */
export async function countOf(
  driver: Driver,
  session: string,
): Promise<{ records: number; events: number; labels: number }> {
  return {
    records: (await driver.getSession(session)) ? 1 : 0,
    events: (await allEvents(driver, session)).length,
    labels: Object.keys(await driver.getLabels(session)).length,
  };
}

export const NOTHING = { records: 0, events: 0, labels: 0 };

export const DELETED = { code: "ERR_PERSIST_NOT_FOUND", message: /the session was deleted/ };

export const DAY = 24 * 60 * 60 * 1000;
