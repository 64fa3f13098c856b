// The driver for Postgres: its options, and how it is opened.
import { needsNew } from "./class.ts";
import { Driver } from "./native.ts";
import { OperatedDriver } from "./operations.ts";
import type { PersistDriverOptions } from "./options.ts";
import { realm } from "./realm.ts";

/** The options of `PostgresSessionPersistDriver`. All may be left out. */
export interface PostgresSessionPersistDriverOptions extends PersistDriverOptions {
  /**
   * Where the database is and how to log in: `postgres://user:password@host:port/database?sslmode=verify-full`, or
   * libpq's `host=... dbname=...`. Several hosts may be named. What it leaves out is taken from `PGHOST`, `PGUSER` and
   * the other variables of libpq, and the password from `PGPASSFILE` or `~/.pgpass`.
   *
   * @default all from the environment
   */
  connectionString?: string;
  /**
   * The password, or a function that is called for each new connection and returns it: for tokens that live for minutes only,
   * as those of Amazon RDS, Azure and Cloud SQL. It wins over the connection string, the environment and the password file.
   *
   * The time that the function takes counts into `connectTimeoutMs`. When it throws, rejects or returns something else, all
   * calls that waited for the connection reject with `ERR_PERSIST_UNAVAILABLE` and its error as `cause`, and the next call
   * asks it again. It does not keep the process alive.
   *
   * @default that of the connection string or the environment
   */
  password?: string | (() => string | Promise<string>);
  /**
   * The schema that the tables are in. It is created only when there is none of that name.
   *
   * @default "public"
   */
  schema?: string;
  /**
   * What the names of the tables, `sessions`, `events` and `persist_version`, begin with: at most 40 letters, digits
   * and underscores, not beginning with a digit, `sqlite_` or `pg_`.
   *
   * @default ""
   */
  tablePrefix?: string;
  /**
   * How many connections the driver opens at most, as they are needed. Half of them, and no more than four, write. One of
   * the others answers `getSession`, and the rest read pages; with 2, `getSession` takes turns with pages. More of them
   * make no session faster. An integer from 2 to 10000.
   *
   * @default 10
   */
  maxConnections?: number;
  /**
   * How long, in milliseconds, connecting and logging in may take, for each host. `connect_timeout` in the connection
   * string, in seconds, is used when this is left out. An integer from 1 to 2147483647.
   *
   * @default 10000
   */
  connectTimeoutMs?: number;
  /**
   * How long, in milliseconds, a call waits for a connection while others use all of them, before it rejects with
   * `ERR_PERSIST_TIMEOUT`. An integer from 1 to 2147483647.
   *
   * @default 10000
   */
  acquireTimeoutMs?: number;
  /**
   * How long, in milliseconds, a read or a batch of writes is worked on, with all its tries, before it rejects with
   * `ERR_PERSIST_TIMEOUT` when the server did not answer, or `ERR_PERSIST_UNAVAILABLE` when it could not be reached. Each
   * try gets half of the time that is left. An integer from 1 to 2147483647.
   *
   * @default 30000
   */
  queryTimeoutMs?: number;
  /**
   * How long, in milliseconds, a connection that nobody uses is kept. 0 means always. An integer from 0 to 2147483647.
   *
   * @default 60000
   */
  idleTimeoutMs?: number;
  /**
   * How long, in milliseconds, a connection is kept at all, less up to a tenth by chance, so that not all end at once. 0
   * means always. An integer from 0 to 2147483647.
   *
   * @default 1800000
   */
  maxLifetimeMs?: number;
  /**
   * The name that the server shows for the connections, in `pg_stat_activity` and its log.
   *
   * @default "sandbox-agent-persist"
   */
  applicationName?: string;
  /**
   * How connections are encrypted and servers recognised. What it leaves out is taken from the connection string and
   * the environment.
   *
   * @default all from the connection string and the environment
   */
  ssl?: PostgresSslOptions;
  /**
   * Whether to create the tables, and to bring older ones up to date. With `false` they must be ready: calls reject with
   * `ERR_PERSIST_SCHEMA` and a list of what is missing when they are not.
   *
   * @default true
   */
  migrate?: boolean;
}

/** How connections to Postgres are encrypted, and how the server is recognised. */
export interface PostgresSslOptions {
  /**
   * `"disable"`: no TLS. `"prefer"`: TLS when the server offers it; nothing is verified, so it helps against listeners
   * only. `"require"` and `"verify-full"`: TLS, and the certificate must be valid, for this host, and signed by an
   * authority that is trusted. `"verify-ca"`: the same, for whatever host; `ca` or `sslrootcert` must name the authority.
   * `"no-verify"`: TLS, with whoever answers.
   *
   * @default "prefer"
   */
  mode?: "disable" | "prefer" | "require" | "verify-ca" | "verify-full" | "no-verify";
  /**
   * The certificates of the authorities that are trusted, or the server's own, as PEM text.
   *
   * @default those of the operating system, or Mozilla's when it has none
   */
  ca?: string;
  /**
   * The certificate that this client shows, as PEM text. It needs `key`.
   *
   * @default none
   */
  cert?: string;
  /**
   * The private key of `cert`, as PEM text, not encrypted.
   *
   * @default none
   */
  key?: string;
  /**
   * The name that the server's certificate must be for, instead of the host's.
   *
   * @default the host of the connection string
   */
  servername?: string;
}

/**
 * Keeps the sessions and events of the `sandbox-agent` SDK in a PostgreSQL database, which many servers may share.
 *
 * Pass it as `persist` to `SandboxAgent.connect` or `SandboxAgent.start`. All work happens on a thread of its own: the event
 * loop never waits for the database. Many drivers, in many processes, may use one database, and one session, at once. It
 * works through PgBouncer and other poolers in transaction mode. No message shows a password.
 *
 * @example
 * ```ts
 * import { SandboxAgent } from "sandbox-agent";
 * import { PostgresSessionPersistDriver } from "sandbox-agent-persist";
 *
 * const persist = new PostgresSessionPersistDriver({ connectionString: "postgres://app:secret@db.example.com/app" });
 * const sdk = await SandboxAgent.connect({ baseUrl: "http://127.0.0.1:2468", persist });
 * // ...
 * await persist.flush();
 * await sdk.dispose();
 * await persist.close();
 * ```
 */
@needsNew
export class PostgresSessionPersistDriver extends OperatedDriver {
  /**
   * Reads the options; the first call connects, and makes the tables ready.
   *
   * @throws `TypeError` with the code `ERR_PERSIST_INVALID_ARGUMENT` when an option, or a parameter of the connection
   * string, is wrong or unknown.
   * @example
   * ```ts
   * const persist = new PostgresSessionPersistDriver({
   *   connectionString: "postgres://app:secret@db.example.com/app?sslmode=verify-full",
   *   schema: "agents",
   * });
   * ```
   */
  constructor(options?: PostgresSessionPersistDriverOptions) {
    super(Driver.postgres(options, realm));
  }
}
