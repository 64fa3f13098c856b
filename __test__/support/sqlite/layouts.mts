/** Files as other drivers leave them in the field, and what their owners do with them. */
import { join } from "node:path";
import type { TestContext } from "node:test";

import Database from "better-sqlite3";

import { SQLiteSessionPersistDriver } from "../../../index.js";
import { directory } from "../directory.mts";

// The layouts as docs/sdk-contract.md names them: what users' hand-copied drivers create.
export const SESSIONS_0_2 = `id TEXT PRIMARY KEY, agent TEXT NOT NULL, agent_session_id TEXT NOT NULL,
  last_connection_id TEXT NOT NULL, created_at INTEGER NOT NULL, destroyed_at INTEGER, session_init_json TEXT`;
export const SESSIONS_0_4 = `${SESSIONS_0_2}, sandbox_id TEXT, config_options_json TEXT, modes_json TEXT`;
export const EVENTS_TEXT = `id TEXT PRIMARY KEY, event_index INTEGER NOT NULL, session_id TEXT NOT NULL,
  created_at INTEGER NOT NULL, connection_id TEXT NOT NULL, sender TEXT NOT NULL, payload_json TEXT NOT NULL`;
export const EVENTS_OLDER = `id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, created_at INTEGER NOT NULL,
  connection_id TEXT NOT NULL, sender TEXT NOT NULL, payload_json TEXT NOT NULL`;
export const ORDER_INDEX = "CREATE INDEX idx_events_session_order ON events (session_id, event_index, id)";

/** A file in a layout of the field. Closed again before a driver of ours opens it. */
export function made(t: TestContext, sql: string): string {
  const filename = join(directory(t), "field.db");
  asOwner(filename, (database) => database.exec(sql));
  return filename;
}

/** What the file's owner does with it. Only ever while no driver of ours is open on it. */
export function asOwner<R>(filename: string, act: (database: Database.Database) => R): R {
  const database = new Database(filename);
  try {
    return act(database);
  } finally {
    database.close();
  }
}

/** Opens the file with a driver of ours, and closes it. */
export async function adopted<R>(
  t: TestContext,
  filename: string,
  act: (driver: SQLiteSessionPersistDriver) => Promise<R>,
): Promise<R> {
  const driver = new SQLiteSessionPersistDriver({ filename });
  t.after(() => driver.close());
  const result = await act(driver);
  await driver.close();
  return result;
}

export const idsOf = (events: { id: string; eventIndex: number }[]) =>
  events.map(({ id, eventIndex }) => [id, eventIndex]);
