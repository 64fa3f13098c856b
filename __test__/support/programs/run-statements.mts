/** Runs the SQL statements that it is sent with better-sqlite3, one by one: `run-statements.mts FILE`. */
import Database from "better-sqlite3";

export interface Answer {
  rows?: Record<string, unknown>[];
  error?: { code: string; message: string };
}

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
