/** Where the sessions of a test with the SDK are kept, in words that can be told to another process, and the drivers for it. */
import {
  PostgresSessionPersistDriver,
  SQLiteSessionPersistDriver,
  type SQLiteSessionPersistDriverOptions,
} from "../../index.js";

export type Storage =
  | { driver: "SQLite"; options: { filename: string } }
  | { driver: "Postgres"; options: { connectionString: string; schema: string } };

/** A store that a program of somebody else's uses too. */
export interface SharedStore {
  storage: Storage;
  /** Runs SQL of that program's. */
  sql(text: string): Promise<void>;
}

export type Persist = SQLiteSessionPersistDriver | PostgresSessionPersistDriver;

/** How much is kept of it. */
export type Caps = Pick<SQLiteSessionPersistDriverOptions, "maxEventsPerSession" | "maxSessions">;

export function openPersist({ driver, options }: Storage, caps: Caps = {}): Persist {
  return driver === "SQLite"
    ? new SQLiteSessionPersistDriver({ ...options, ...caps })
    : new PostgresSessionPersistDriver({ ...options, ...caps });
}

/** A driver that changes nothing by being opened. */
export function openReader({ driver, options }: Storage): Persist {
  return driver === "SQLite"
    ? new SQLiteSessionPersistDriver({ ...options, readonly: true })
    : new PostgresSessionPersistDriver({ ...options, migrate: false });
}
