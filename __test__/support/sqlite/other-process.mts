/** A program of the user's own beside the driver: better-sqlite3 on one file, in a process of its own. */
import type { TestContext } from "node:test";

import Database from "better-sqlite3";

import { start } from "../process.mts";

interface Answer {
  rows?: Record<string, unknown>[];
  error?: { code: string; message: string };
}

export interface OtherProcess {
  /** Runs one statement and gives its rows; rejects with SQLite's `code` and message. */
  run(sql: string): Promise<Record<string, unknown>[]>;
  end(): Promise<void>;
}

export async function otherProcess(t: TestContext, file: string): Promise<OtherProcess> {
  const child = start(t, import.meta.filename, [file]);
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

if (process.send && process.argv[1] === import.meta.filename) {
  const database = new Database(process.argv[2], { timeout: 20_000 });
  const answer = (message: Answer | "open") => process.send?.(message);
  process.on("message", (sql: string | null) => {
    if (sql === null) {
      database.close();
      process.disconnect();
      return;
    }
    try {
      const statement = database.prepare(sql);
      if (statement.reader) answer({ rows: statement.all() as Record<string, unknown>[] });
      else {
        statement.run();
        answer({ rows: [] });
      }
    } catch (error) {
      const { code, message } = error as Error & { code: string };
      answer({ error: { code, message } });
    }
  });
  answer("open");
}
