// The driver for SQLite: its options, and how it is opened.
import { needsNew } from "./class.ts";
import type { PersistDriverOptions } from "./driver.ts";
import { Driver } from "./native.ts";
import { OperatedDriver } from "./operations.ts";
import { realm } from "./realm.ts";

/** The options of `SQLiteSessionPersistDriver`. All may be left out. */
export interface SQLiteSessionPersistDriverOptions extends PersistDriverOptions {
  /**
   * The database file; it is created when there is none, with mode 0600. A relative path is taken from the directory
   * that the process is in when the driver is made. `":memory:"` keeps everything in memory, until `close`; it goes with
   * neither `readonly: true` nor `migrate: false`. URIs and the empty string are refused.
   *
   * @default ":memory:"
   */
  filename?: string;
  /**
   * When a write's promise resolves. `"full"`: once the write survives a power cut. `"normal"`: once it survives the
   * end of the process; a power cut may take the last writes, and never damages the file.
   *
   * @default "full"
   */
  durability?: "full" | "normal";
  /**
   * How long, in milliseconds, a call waits for the lock of another process before it rejects with
   * `ERR_PERSIST_BUSY`. An integer from 0 to 2147483647.
   *
   * @default 5000
   */
  busyTimeoutMs?: number;
  /**
   * Opens a file that exists, for reading only: writes reject with `ERR_PERSIST_READONLY`, and no table is created or
   * changed.
   *
   * @default false
   */
  readonly?: boolean;
  /**
   * Whether to create the file and its tables, and to bring older tables up to date. With `false` they must be ready:
   * calls reject with `ERR_PERSIST_UNAVAILABLE` when there is no file, and with `ERR_PERSIST_SCHEMA` and a list of what
   * is missing when the tables are not ready.
   *
   * @default true
   */
  migrate?: boolean;
  /**
   * What the names of the tables, `sessions`, `events` and `persist_version`, begin with: at most 40 letters, digits and
   * underscores, not beginning with a digit, `sqlite_` or `pg_`.
   *
   * @default ""
   */
  tablePrefix?: string;
}

/**
 * Keeps the sessions and events of the `sandbox-agent` SDK in an SQLite file.
 *
 * Pass it as `persist` to `SandboxAgent.connect` or `SandboxAgent.start`. All work happens on threads of its own: the event
 * loop never waits for the disk. Many drivers, in many processes, may use one file at once.
 *
 * @example
 * ```ts
 * import { SandboxAgent } from "sandbox-agent";
 * import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";
 *
 * const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
 * const sdk = await SandboxAgent.connect({ baseUrl: "http://127.0.0.1:2468", persist });
 * // ...
 * await persist.flush();
 * await sdk.dispose();
 * await persist.close();
 * ```
 */
@needsNew
export class SQLiteSessionPersistDriver extends OperatedDriver {
  /**
   * Begins to open the database, in the background; every call waits for it.
   *
   * @throws `TypeError` with the code `ERR_PERSIST_INVALID_ARGUMENT` when an option is wrong or unknown.
   * @example
   * ```ts
   * const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db", durability: "full" });
   * ```
   */
  constructor(options?: SQLiteSessionPersistDriverOptions) {
    super(Driver.sqlite(options, realm));
  }
}
