/** Writes to sessions of a store with caps, to all at once, and reports each event once it is stored. It ends when it is killed, or done. */
import { allEvents, eventAt } from "../records.mts";
import { type Caps, openPersist, type Storage } from "../storage.mts";

export interface Capped {
  storage: Storage;
  caps: Caps;
  sessions: string[];
  /** What the ids of the events begin with. */
  name: string;
  /** How many events each session gets. */
  count: number;
}

/** An event that is stored. */
export type Stored = [session: string, index: number];

async function work({ storage, caps, sessions, name, count }: Capped): Promise<void> {
  const driver = openPersist(storage, caps);
  await Promise.all(
    sessions.map(async (session) => {
      const first = ((await allEvents(driver, session)).at(-1)?.eventIndex ?? 0) + 1;
      for (let number = 0; number < count; number += 1) {
        const event = eventAt(session, first + number, { id: `${name}-${session}-${number}` });
        await driver.insertEvent(session, event);
        process.send?.([session, event.eventIndex] satisfies Stored);
      }
    }),
  );
  await driver.close();
  process.send?.("done");
}

if (process.argv[1] === import.meta.filename) {
  process.once("message", (capped: Capped) => void work(capped));
  process.send?.("loaded");
}
