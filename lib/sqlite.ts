// The driver for SQLite: its options, and how it is opened.
import { needsNew } from "./class.ts";
import { call } from "./driver.ts";
import { finish } from "./job.ts";
import { Driver } from "./native.ts";
import { OperatedDriver, type WorkOptions } from "./operations.ts";
import type { PersistDriverOptions } from "./options.ts";
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
   * Who copies the write-ahead log (`-wal`) into the file. `"automatic"`: the driver, each time that the log has 32 MiB, and when the
   * last driver closes. While others read without a pause the log cannot begin anew; from 64 MiB on, writes then wait for them:
   * 25 ms at most, four times as long whenever the log has doubled, and never longer than `busyTimeoutMs`. `"external"`:
   * another program, such as Litestream, which has to see all of the log before it is copied. The driver then never does it, also
   * when it closes: while that program does not run, the log grows. All drivers on a file must say the same.
   *
   * @default "automatic"
   */
  checkpoints?: "automatic" | "external";
  /**
   * What the names of the tables, `sessions`, `events` and `persist_version`, begin with: at most 40 letters, digits and
   * underscores, not beginning with a digit, `sqlite_` or `pg_`.
   *
   * @default ""
   */
  tablePrefix?: string;
}

/** How far `backup` is. */
export interface BackupProgress {
  /** What it does: it copies, then it checks the copy, about three times as long. */
  phase: "copying" | "verifying";
  /** How many bytes are copied. */
  bytes: number;
  /** How many there are. */
  totalBytes: number;
}

/** What came of `backup`. */
export interface BackupResult {
  /** How many bytes the file has. */
  bytes: number;
}

/** The options of `backup`. All may be left out. */
export interface BackupOptions extends WorkOptions<BackupProgress> {
  /**
   * Whether a file at that path is replaced. It keeps its place until the backup is whole.
   *
   * @default false
   */
  overwrite?: boolean;
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

  /**
   * Copies the whole database into a file, while others read and write. The copy holds every event whose promise had resolved when
   * this was called, and all of it is of one moment: of what each writer wrote one after another it has a beginning. It is one file,
   * which needs no other beside it, and which a driver can be opened on.
   *
   * The file appears at `path` once it is whole, on the disk, and checked (`PRAGMA integrity_check`), with mode 0600 from its first
   * byte. Until then it is written beside `path`, under that name and an ending `.0123456789abcdef.partial` of random digits: it is
   * removed when the backup fails, and when a process was killed, by the next backup to that `path`. Writers do not wait; with
   * `":memory:"` they wait while it is copied within memory, about a second for a GiB. A driver with `readonly: true` may back up as well.
   *
   * `close` ends it with `ERR_PERSIST_CLOSED`.
   *
   * @param path where the backup goes. A relative path is taken from the directory that the process is in. A symbolic link there is
   * a file that exists: it is replaced or not, and never followed.
   * @throws `ERR_PERSIST_INVALID_ARGUMENT` when there is a file already, unless `overwrite` is true; and in any case when `path` is a
   * directory, a pipe or a device, the driver's own file, or one that SQLite keeps beside it, or when SQLite would take a file beside `path` (`-wal`,
   * `-journal`) for a part of the backup. `ERR_PERSIST_UNAVAILABLE` when it cannot be written there, `ERR_PERSIST_FULL` when the disk
   * is full, `ERR_PERSIST_CORRUPT` when the copy is damaged, as the database then is. After each of them `path` is as it was.
   * @example
   * ```ts
   * const { bytes } = await persist.backup("/backups/sessions.db", {
   *   overwrite: true,
   *   onProgress: ({ phase, bytes, totalBytes }) => console.log(phase, Math.round((100 * bytes) / totalBytes), "%"),
   * });
   * ```
   */
  backup(path: string, options?: BackupOptions): Promise<BackupResult> {
    return call(this, "backup", (native) => finish(() => native.backup(path, options), options));
  }
}
