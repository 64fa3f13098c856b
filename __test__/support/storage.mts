/** Where the sessions of a test with the SDK are kept, in words that can be told to another process, and the drivers for it. */
import { type PersistDriverOptions, PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../index.js";

export type Storage =
  | { driver: "SQLite"; options: { filename: string } }
  | { driver: "Postgres"; options: { connectionString: string; schema: string } };

export type Persist = SQLiteSessionPersistDriver | PostgresSessionPersistDriver;

export function openPersist({ driver, options }: Storage, more: PersistDriverOptions = {}): Persist {
  return driver === "SQLite"
    ? new SQLiteSessionPersistDriver({ ...options, ...more })
    : new PostgresSessionPersistDriver({ ...options, ...more });
}

/** A driver that changes nothing by being opened. */
export function openReader({ driver, options }: Storage): Persist {
  return driver === "SQLite"
    ? new SQLiteSessionPersistDriver({ ...options, readonly: true })
    : new PostgresSessionPersistDriver({ ...options, migrate: false });
}
