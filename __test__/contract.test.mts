/**
 * Runs the contract suite against this package's SQLite driver, on a file and in memory, and against the SDK's own
 * in-memory driver: what all three meet is the contract, and not a habit of ours.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { InMemorySessionPersistDriver } from "sandbox-agent";
import { SQLiteSessionPersistDriver } from "../index.js";
import { contract, type ContractDriver } from "./suites/contract.mts";

const directory = await mkdtemp(join(tmpdir(), "contract-"));
after(() => rm(directory, { recursive: true }));

const filenames = new WeakMap<ContractDriver, string>();

contract(
  "SQLite on a file",
  async (store, options) => {
    const filename = join(directory, `${store}.db`);
    const driver = new SQLiteSessionPersistDriver({ filename, ...options });
    filenames.set(driver, filename);
    return driver;
  },
  {
    ours: true,
    remove: async (driver, { session, eventIndex }) => {
      const statement =
        eventIndex === undefined
          ? "DELETE FROM sessions WHERE id = ?"
          : "DELETE FROM events WHERE session_id = ? AND event_index = ?";
      const values = eventIndex === undefined ? [session] : [session, eventIndex];
      await runSql(filenames.get(driver)!, statement, values);
    },
  },
);

contract("SQLite in memory", async (_store, options) => new SQLiteSessionPersistDriver(options), {
  ours: true,
  skip: ["durable", "several writers"],
});

// Its default caps would drop old rows: 1,024 sessions, 500 events each.
contract(
  "the SDK's in-memory driver",
  async (_store, options) =>
    new InMemorySessionPersistDriver({ maxSessions: 1e9, maxEventsPerSession: 1e9, ...options }),
  // It pages by offset, stores an event twice that is inserted again, and copies a record only at the top.
  { ours: false, skip: ["durable", "several writers", "cursors under writes", "retries", "deep copies"] },
);

/**
 * Runs one statement in a process of its own: two SQLite libraries in one process break each other's file locks. Always in
 * Node, whatever runtime the suite runs on (scripts/test-runtimes.mjs), since better-sqlite3 is built for one alone.
 */
async function runSql(filename: string, statement: string, values: unknown[]): Promise<void> {
  const script = `
    const [filename, statement, values] = process.argv.slice(1);
    const database = new (require("better-sqlite3"))(filename, { fileMustExist: true });
    const { changes } = database.prepare(statement).run(...JSON.parse(values));
    database.close();
    if (changes !== 1) throw new Error(changes + " rows changed");
  `;
  await promisify(execFile)("node", ["-e", script, "--", filename, statement, JSON.stringify(values)], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
  });
}
