/** Forks sessions in a process of its own, as often as it is told to, and reports what came of each: `STORAGE`. */
import { openPersist, type Storage } from "../storage.mts";

export interface Task {
  source: string;
  options?: { id?: string; throughIndex?: number };
}

/** The new id, or the code of the error. */
export type Outcome = { id: string } | { code: string };

if (process.argv[1] === import.meta.filename) {
  const driver = openPersist(JSON.parse(process.argv[2]!) as Storage);
  process.on("message", async ({ source, options }: Task) => {
    // Sent before the fork begins, so that the test may end this process in the middle of it.
    process.send?.("forking");
    const outcome: Outcome = await driver.forkSession(source, options).then(
      ({ id }) => ({ id }),
      ({ code }) => ({ code }),
    );
    process.send?.(outcome);
  });
  await driver.ready();
  process.send?.("loaded");
}
