/** Writes events to whatever file it is told, with a driver that it opens for that, and reports where they are stored. */
import type { SQLiteSessionPersistDriverOptions } from "../../../index.js";
import { SQLiteSessionPersistDriver } from "../../../index.js";
import { eventAt } from "../records.mts";

export interface Task {
  options: SQLiteSessionPersistDriverOptions;
  session: string;
  /** What the ids of the events begin with. */
  name: string;
  count: number;
  /** How many writes are in flight at once. */
  atOnce: number;
  /** How often one event is tried, each time with the next index, as the SDK does. */
  tries?: number;
}

export interface Report {
  stored: { id: string; eventIndex: number }[];
  failed: { id: string; code: string; message: string }[];
}

async function work(task: Task): Promise<Report> {
  const report: Report = { stored: [], failed: [] };
  const driver = new SQLiteSessionPersistDriver(task.options);
  let begun = 0;
  // The SDK counts in memory: it does not know of the events that other processes have written meanwhile.
  let counter = 0;
  const strand = async () => {
    while (begun < task.count) {
      begun += 1;
      const id = `${task.name}-${begun}`;
      for (let tried = 1; tried <= (task.tries ?? 1); tried += 1) {
        counter += 1;
        const event = eventAt(task.session, counter, { id });
        try {
          await driver.insertEvent(task.session, event);
          report.stored.push({ id, eventIndex: event.eventIndex });
          break;
        } catch (error) {
          const { code, message } = error as Error & { code: string };
          report.failed.push({ id, code, message });
        }
      }
    }
  };
  await Promise.all(Array.from({ length: task.atOnce }, strand));
  await driver.close();
  return report;
}

if (process.argv[1] === import.meta.filename) {
  process.on("message", (task: Task) => void work(task).then((report) => process.send?.(report)));
  process.send?.("loaded");
}
