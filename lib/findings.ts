// What `check` tells.

/** One thing that `check` has found, and what to do about it. */
export interface Finding {
  /** What kind of thing it is. */
  code: FindingCode;
  /**
   * `"error"`: something is damaged, or what was acknowledged may be lost. `"warning"`: it works, and somebody should see to it.
   * `"info"`: it may be meant to be so.
   */
  severity: "error" | "warning" | "info";
  /** What was found, in words. It never holds a payload. */
  message: string;
  /** What to do about it, in words. */
  remedy: string;
  /**
   * The table that it is about, without its schema.
   *
   * @default absent, where it is about no table
   */
  table?: string;
  /**
   * The sessions that it is about: the first 20.
   *
   * @default absent, where it is about no session
   */
  sessionIds?: string[];
  /**
   * How many events, sessions or places it is about.
   *
   * @default absent, where it is about one thing
   */
  count?: number;
}

/**
 * The kinds of findings. A later release may have more.
 *
 * Of what is stored: `"damaged"`: the file, a table or an index is damaged. With Postgres the extension amcheck looks at indexes,
 * where it is installed; else damage is not looked for. `"unreadable-events"`, `"unreadable-sessions"`: rows hold what cannot be read,
 * such as text that is not JSON. `"events-without-session"`: there is no record of their session. `"sessions-without-events"`: there
 * is nothing but the record.
 *
 * Of the tables: `"tables-not-ready"`: a table, column or index is missing. `"adopted-layout"`: another program made the table
 * of events, and its keys and indexes slow it down. `"redundant-index"`: another index does what it does. `"invalid-index"`: Postgres
 * does not use it. `"interrupted-rebuild"`: `rebuild` was killed, and nobody has called it again. `"unlogged-table"`: a crash of
 * the server empties it. `"missing-right"`: this user may not read, insert, update or delete. `"row-security"`: policies may hide
 * rows from this user. `"collation-changed"`: the system sorts texts in another way than it did.
 *
 * Of an SQLite file: `"open-to-others"`: users beside its owner may open a file, or replace it. `"hard-link"`: it has several names.
 * `"network-file-system"`: SQLite cannot rely on its locks (known on Linux alone). `"no-write-ahead-log"`: readers and writers wait
 * for each other. `"large-log"`: more than 128 MiB of the log are not folded into the file. `"normal-durability"`: the option
 * `durability` is `"normal"`.
 *
 * Of a Postgres server: `"fsync-off"`, `"full-page-writes-off"`, `"synchronous-commit-off"`: settings with which a crash loses
 * what was acknowledged. `"standby-missing"`: no synchronous standby is connected, so commits wait. `"standby-asynchronous"`: a
 * failover may lose the last commits. `"read-only-server"`: it is a standby. `"encoding"`: it is not UTF8. `"superuser"`: this user is
 * one. `"pooler"`: a pooler gives each transaction another connection.
 */
export type FindingCode =
  | "damaged"
  | "unreadable-events"
  | "unreadable-sessions"
  | "events-without-session"
  | "sessions-without-events"
  | "tables-not-ready"
  | "adopted-layout"
  | "redundant-index"
  | "invalid-index"
  | "interrupted-rebuild"
  | "unlogged-table"
  | "missing-right"
  | "row-security"
  | "collation-changed"
  | "open-to-others"
  | "hard-link"
  | "network-file-system"
  | "no-write-ahead-log"
  | "large-log"
  | "normal-durability"
  | "fsync-off"
  | "full-page-writes-off"
  | "synchronous-commit-off"
  | "standby-missing"
  | "standby-asynchronous"
  | "read-only-server"
  | "encoding"
  | "superuser"
  | "pooler";

/** How far `check` is. */
export interface CheckProgress {
  /** How many rows it has read. */
  rows: number;
  /** How many findings there are so far. */
  findings: number;
}
