/** A streaming standby of a running server, for tests of what happens when it takes over. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import pg from "pg";

import type { Home } from "../home.mts";
import { launch, query, type TestServer } from "./server.mts";

const PATIENCE_MS = 120_000;

let standbys = 0;

export interface StandbyOptions {
  /** The primary acknowledges a commit only when the standby has it too, so that a failover loses nothing. */
  synchronous?: boolean;
}

export type Standby = Awaited<ReturnType<typeof startStandby>>;

/** Copies the primary and starts the copy as its standby. Its superuser has the primary's password. */
export async function startStandby(primary: TestServer, { synchronous = false }: StandbyOptions = {}) {
  // A slot keeps the primary from dropping what the standby has not read yet.
  standbys += 1;
  const name = `standby_${standbys}`;
  await query(primary.url, "SELECT pg_create_physical_replication_slot($1, true)", [name]);
  const { host, port, user, password } = primary;
  const server = await launch(primary.version, {
    fill: async (home, dataDirectory) => {
      await copyData(primary, home, dataDirectory);
      return password;
    },
    files: { "standby.signal": "" },
    settings: [
      `primary_conninfo = 'host=${host} port=${port} user=${user} password=${password} application_name=${name}'`,
      `primary_slot_name = '${name}'`,
      // It asks for what is not there yet, once, and would then pause for 5 seconds.
      "wal_retrieve_retry_interval = '100ms'",
    ],
  });
  const standby = Object.assign(server, {
    /** Waits until the standby has applied all that the primary has committed. */
    catchUp: async () => {
      const [{ position }] = await query(primary.url, "SELECT pg_current_wal_flush_lsn() AS position");
      await until(server.url, "SELECT pg_last_wal_replay_lsn() >= $1 AS yes", [position]);
    },

    /** Makes the standby a primary. The old one should be stopped before, or there are two. */
    promote: async () => {
      const [{ promoted }] = await query(server.url, "SELECT pg_promote(true, 120) AS promoted");
      if (!promoted) throw new Error(`The standby was not promoted. Its log:\n${server.log()}`);
    },
  });
  try {
    await standby.catchUp();
    if (synchronous) {
      await query(primary.url, `ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
      await query(primary.url, "SELECT pg_reload_conf()");
      const sql = "SELECT sync_state = 'sync' AS yes FROM pg_stat_replication WHERE application_name = $1";
      await until(primary.url, sql, [name]);
    }
    return standby;
  } catch (error) {
    await standby.cleanup();
    throw error;
  }
}

/** What `pg_basebackup` does, whose binary npm does not bring. */
async function copyData(primary: TestServer, home: Home, dataDirectory: string): Promise<void> {
  // One connection: the server ends a backup with the connection that began it.
  const client = new pg.Client({ connectionString: primary.url });
  await client.connect();
  try {
    await client.query("SELECT pg_backup_start('standby', true)");
    await home.run("cp", ["-R", primary.dataDirectory, dataDirectory]);
    const { rows } = await client.query("SELECT labelfile FROM pg_backup_stop(false)");
    home.write(join(dataDirectory, "backup_label"), rows[0].labelfile);
  } finally {
    await client.end();
  }
  // These are the primary's own: what it waits for when it commits, the standby must not wait for in its turn.
  for (const name of ["postmaster.pid", "postmaster.opts", "postgresql.auto.conf"]) rmSync(join(dataDirectory, name));
  for (const folder of ["pg_wal", "pg_replslot"].map((name) => join(dataDirectory, name))) {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  }
}

/** Waits until the statement's column `yes` is true. */
async function until(url: string, sql: string, values: unknown[]): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const [row] = await query(url, sql, values);
    if (row?.yes) return;
    if (Date.now() > deadline) throw new Error(`The standby did not catch up: still not true is ${sql}`);
    await delay(20);
  }
}
