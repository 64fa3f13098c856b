/** A program of the user's own beside the driver: better-sqlite3 on one file, in a process of its own. */
import type { TestContext } from "node:test";

import { start } from "../process.mts";
import type { Answer } from "../programs/run-statements.mts";

export interface OtherProcess {
  /** Runs one statement and gives its rows; rejects with SQLite's `code` and message. */
  run(sql: string): Promise<Record<string, unknown>[]>;
  end(): Promise<void>;
}

export async function otherProcess(t: TestContext, file: string): Promise<OtherProcess> {
  const child = start(t, "run-statements.mts", [file]);
  await child.next();
  return {
    async run(sql) {
      child.send(sql);
      const { rows, error } = await child.next<Answer>();
      if (error) throw Object.assign(new Error(error.message), { code: error.code });
      return rows ?? [];
    },
    async end() {
      child.send(null);
      await child.ended;
    },
  };
}
