/** Uses drivers on databases that fail in every way, one after another or all at once, and reports the errors: `TASK`. */
import { inspect } from "node:util";

import type { PostgresSessionPersistDriverOptions } from "../../../index.js";
import { PostgresSessionPersistDriver } from "../../../index.js";
import { allEvents, eventAt, sessionOf } from "../records.mts";

/** The drivers' options, each with a name. */
export type Task = Record<string, PostgresSessionPersistDriverOptions>;

/** What became of the calls on a driver: the error with all that belongs to it, or nothing. */
export type Report = Record<string, { code?: string; text: string }[]>;

async function outcome(call: () => Promise<unknown>): Promise<{ code?: string; text: string }> {
  try {
    await call();
    return { text: "" };
  } catch (error) {
    const { code, message, stack, cause } = error as Error & { code: string };
    const parts = [
      message,
      stack,
      String(cause),
      JSON.stringify(error),
      inspect(error, { depth: null, showHidden: true }),
    ];
    return { code, text: parts.join("\n") };
  }
}

async function use(options: PostgresSessionPersistDriverOptions): Promise<Report[string]> {
  let driver: PostgresSessionPersistDriver;
  try {
    driver = new PostgresSessionPersistDriver(options);
  } catch (error) {
    return [await outcome(() => Promise.reject(error))];
  }
  drivers.push(driver);
  const results = await Promise.all([
    outcome(() => driver.ready()),
    outcome(() => driver.insertEvent("s", eventAt("s", 1))),
    outcome(() => driver.updateSession(sessionOf("s"))),
    outcome(() => driver.getSession("s")),
    outcome(() => driver.listSessions()),
    outcome(() => allEvents(driver, "s")),
  ]);
  return [...results, { text: inspect(driver, { depth: null, showHidden: true }) }];
}

const drivers: PostgresSessionPersistDriver[] = [];

if (process.argv[1] === import.meta.filename) {
  // These are kept as they are, idle or failed, until the process ends by itself: whatever becomes of their connections
  // must be no event of this process.
  process.on("message", async (task: Task | "end") => {
    if (task === "end") {
      process.disconnect();
      return;
    }
    // Nobody calls this one, and nobody is told what becomes of it.
    for (const options of Object.values(task)) {
      try {
        drivers.push(new PostgresSessionPersistDriver(options));
      } catch {
        continue;
      }
    }
    const reports = Object.entries(task).map(async ([name, options]) => [name, await use(options)] as const);
    process.send?.(Object.fromEntries(await Promise.all(reports)));
  });
  process.send?.("loaded");
}
