/** Writes events to whatever Postgres it is told, with a driver that it opens for that, and reports where they are stored. */
import type { PostgresSessionPersistDriverOptions } from "../../../index.js";
import { PostgresSessionPersistDriver } from "../../../index.js";
import { eventAt, sessionOf } from "../records.mts";
import type { Report } from "./write-on-demand.mts";

export interface Task {
  options: PostgresSessionPersistDriverOptions;
  sessions: string[];
  /** What the ids of the events begin with. */
  name: string;
  /** How many events each session gets. */
  count: number;
  /** How many writes of each session are in flight at once. */
  atOnce: number;
  /** How often one event is tried, each time with the next index, as the SDK does. */
  tries?: number;
  /** Writes the session's record too, after each event. */
  records?: boolean;
}

async function work(task: Task): Promise<Report> {
  const report: Report = { stored: [], failed: [] };
  const driver = new PostgresSessionPersistDriver(task.options);
  const record = async (id: string, write: () => Promise<void>): Promise<boolean> => {
    try {
      await write();
      return true;
    } catch (error) {
      const { code, message } = error as Error & { code: string };
      report.failed.push({ id, code, message });
      return false;
    }
  };
  const strands = task.sessions.flatMap((session) => {
    let begun = 0;
    // The SDK counts in memory: it does not know of the events that other processes have written meanwhile.
    let counter = 0;
    const strand = async () => {
      while (begun < task.count) {
        begun += 1;
        const id = `${task.name}-${begun}`;
        for (let tried = 1; tried <= (task.tries ?? 1); tried += 1) {
          counter += 1;
          const event = eventAt(session, counter, { id });
          if (!(await record(id, () => driver.insertEvent(session, event)))) continue;
          report.stored.push({ id, eventIndex: event.eventIndex });
          break;
        }
        if (task.records) await record(session, () => driver.updateSession(sessionOf(session, { agent: id })));
      }
    };
    return Array.from({ length: task.atOnce }, strand);
  });
  await Promise.all(strands);
  await driver.close();
  return report;
}

if (process.argv[1] === import.meta.filename) {
  process.on("message", (task: Task) => void work(task).then((report) => process.send?.(report)));
  process.send?.("loaded");
}
