/**
 * Writes from 8 sessions, and backs the file up again and again, until it is killed: `FILE BACKUP`. Reports what has been
 * acknowledged, and how far each backup is.
 */
import { type BackupProgress, SQLiteSessionPersistDriver } from "../../../index.js";
import { allEvents, eventAt } from "../records.mts";

export const SESSIONS = Array.from({ length: 8 }, (_, number) => `session-${number}`);

/** What has happened: a write was acknowledged, a backup is so far, or a backup is done. */
export type Report =
  { acknowledged: [session: number, index: number] } | { progress: BackupProgress } | { done: number };

if (process.argv[1] === import.meta.filename) {
  const [, , filename, path] = process.argv;
  const report = (report: Report) => void process.send?.(report);
  const driver = new SQLiteSessionPersistDriver({ filename });

  const write = async (number: number) => {
    const session = SESSIONS[number]!;
    for (let index = (await allEvents(driver, session)).length + 1; ; index += 1) {
      await driver.insertEvent(session, eventAt(session, index));
      report({ acknowledged: [number, index] });
    }
  };
  process.once("message", () => {
    void (async () => {
      for (const number of SESSIONS.keys()) void write(number);
      for (;;) {
        const onProgress = (progress: BackupProgress) => report({ progress });
        report({ done: (await driver.backup(path!, { overwrite: true, onProgress })).bytes });
      }
    })();
  });
  process.send?.("loaded");
}
