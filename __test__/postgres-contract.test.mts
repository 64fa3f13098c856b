/**
 * Runs the contract suite against the Postgres driver: on the oldest, a middle and the newest version of the server, on
 * tables that somebody has partitioned, and through PgBouncer.
 */
import { after } from "node:test";
import { contract } from "./suites/contract.mts";
import { opener, remove } from "./suites/contract/postgres.mts";
import { PARTITIONED } from "./support/postgres/partitioned.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { startServer, type Version } from "./support/postgres/server.mts";

for (const version of [15, 16, 18] satisfies Version[]) {
  const server = await startServer({ version });
  after(server.cleanup);
  const url = await server.createDatabase();
  contract(`Postgres ${version}`, opener(url), { ours: true, remove });
  if (version !== 18) continue;

  contract("Postgres on tables partitioned by hash", opener(url, url, PARTITIONED), { ours: true, remove });

  if (!skipWithoutPgBouncer()) {
    const pgbouncer = await startPgBouncer(server);
    after(pgbouncer.cleanup);
    const pooled = pgbouncer.urlOf(url);
    contract("Postgres through PgBouncer", opener(pooled, url), { ours: true, remove });
  }
}
