/** A program of somebody else's beside the driver: one connection of `pg`, for locks and transactions that stay open. */
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import pg from "pg";

import { query } from "./server.mts";

export interface OtherConnection {
  run(sql: string, values?: unknown[]): Promise<any[]>;
  /** Waits until so many others wait for its locks. */
  isInTheWayOf(count: number): Promise<void>;
  /** Ends those who wait for its locks, and says how many there were. */
  endThoseWhoWait(): Promise<number>;
}

export async function otherConnection(t: TestContext, url: string): Promise<OtherConnection> {
  const client = new pg.Client({ connectionString: url, application_name: "other-connection" });
  client.on("error", () => {});
  await client.connect();
  t.after(() => client.end().catch(() => {}));
  const { rows } = await client.query("SELECT pg_backend_pid() AS pid");
  const blocked = "FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))";
  return {
    run: async (sql, values) => (await client.query(sql, values)).rows,
    isInTheWayOf: async (count) => {
      for (;;) {
        const [{ waiting }] = await query(url, `SELECT count(*)::int AS waiting ${blocked}`, [rows[0].pid]);
        if (waiting >= count) return;
        await delay(10);
      }
    },
    endThoseWhoWait: async () =>
      (await query(url, `SELECT pg_terminate_backend(pid, 10000) ${blocked}`, [rows[0].pid])).length,
  };
}
