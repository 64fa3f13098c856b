/** Deletes sessions one after another, and reports each that is deleted. */
import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../../index.js";

export interface Task {
  /** With a `filename` for SQLite, else for Postgres. */
  options: Record<string, unknown>;
  sessions: string[];
}

async function work({ options, sessions }: Task): Promise<void> {
  const driver =
    "filename" in options ? new SQLiteSessionPersistDriver(options) : new PostgresSessionPersistDriver(options);
  for (const session of sessions) {
    if (await driver.deleteSession(session)) process.send?.(session);
  }
  await driver.close();
  process.send?.("done");
}

if (process.argv[1] === import.meta.filename) {
  process.once("message", (task: Task) => void work(task));
  process.send?.("loaded");
}
