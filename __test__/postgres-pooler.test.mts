/** PgBouncer in transaction mode, where each transaction may meet another connection: nothing is left behind on any. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";

import { PostgresSessionPersistDriver } from "../index.js";
import { refused } from "./support/postgres/login.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

const ONCE = { timeout: 120_000 };

describe("PgBouncer in transaction mode", { skip: skipWithoutPgBouncer() }, async () => {
  const server = await startServer();
  after(server.cleanup);
  const settings = ["default_pool_size = 1", "ignore_startup_parameters =", "server_reset_query ="];
  const pgbouncer = await startPgBouncer(server, settings);
  after(pgbouncer.cleanup);

  /** What a client of the pooler finds on the one connection to the server. */
  async function state(url: string): Promise<Record<string, unknown>> {
    const [row] = await query(
      url,
      `SELECT pg_backend_pid() AS pid, (SELECT count(*)::int FROM pg_prepared_statements) AS statements,
         (SELECT count(*)::int FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
         (SELECT count(*)::int FROM pg_cursors WHERE name <> '') AS cursors,
         (SELECT count(*)::int FROM pg_listening_channels()) AS channels,
         (SELECT count(*)::int FROM pg_class WHERE relpersistence = 't') AS tables,
         -- Those that PgBouncer sets itself, for each client anew, are left out.
         ARRAY(SELECT name || '=' || setting FROM pg_settings WHERE source = 'session' AND name NOT IN
           ('application_name', 'client_encoding', 'DateStyle', 'IntervalStyle', 'TimeZone', 'search_path',
            'standard_conforming_strings', 'default_transaction_read_only', 'in_hot_standby', 'scram_iterations')) AS set,
         current_setting('search_path') AS search_path, current_setting('statement_timeout') AS statement_timeout,
         current_setting('lock_timeout') AS lock_timeout, current_setting('role') AS role`,
    );
    return row;
  }

  test("no state of a session is left behind on the shared connection", ONCE, async (t) => {
    const url = pgbouncer.urlOf(await server.createDatabase());
    const before = await state(url);
    for (const onEventIndexConflict of ["reassign", "reject"] as const) {
      const driver = new PostgresSessionPersistDriver({
        connectionString: url,
        schema: "pooled",
        onEventIndexConflict,
      });
      t.after(() => driver.close());
      const writes = Array.from({ length: 200 }, (_, number) =>
        driver.insertEvent(
          `s${number % 8}`,
          eventAt(`s${number % 8}`, number >> 4, { id: `${onEventIndexConflict}-${number}` }),
        ),
      );
      const records = Array.from({ length: 8 }, (_, number) => driver.updateSession(sessionOf(`s${number}`)));
      const settled = await Promise.allSettled([...writes, ...records]);
      if (onEventIndexConflict === "reassign") assert.ok(settled.every(({ status }) => status === "fulfilled"));
      else assert.ok(settled.some(({ status }) => status === "rejected"));
      const reads = Array.from({ length: 8 }, (_, number) => allEvents(driver, `s${number}`, 7));
      assert.ok((await Promise.all(reads)).every((events) => events.length >= 25));
      await driver.listSessions({ limit: 3 });
      const doomed = `doomed-${onEventIndexConflict}`;
      await Promise.all([driver.insertEvent(doomed, eventAt(doomed, 1)), driver.setLabels(doomed, { user: "u1" })]);
      assert.equal(await driver.deleteSession(doomed), true);
      const followed = driver.tailEvents({ sessionId: "s0" });
      for (let taken = 0; taken < 25; taken += 1) assert.equal((await followed.next()).done, false);
      await followed.return!();
      // While the driver is open, and again when it is closed.
      assert.deepEqual(await state(url), before);
      await driver.close();
      assert.deepEqual(await state(url), before);
    }
    assert.deepEqual([before.statements, before.locks, before.set], [0, 0, []]);
  });

  test("options= is refused by it, and the error shows its words and no password", ONCE, async () => {
    const connectionString = `${pgbouncer.urlOf(server.url)}?options=-c%20search_path%3Dpublic`;
    const error = await refused(server, { connectionString, queryTimeoutMs: 600_000 });
    assert.equal(error.code, "ERR_PERSIST_UNAVAILABLE");
    assert.match(String((error.cause as Error).message), /unsupported startup parameter/);
  });
});
