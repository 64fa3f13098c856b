/**
 * Runs the contract suite against the Postgres driver: on the oldest, a middle and the newest version of the server, on
 * tables that somebody has partitioned, and through PgBouncer.
 */
import { after } from "node:test";
import { contract } from "./suites/contract.mts";
import { opener, remove } from "./suites/contract/postgres.mts";
import { PARTITIONED } from "./support/postgres/partitioned.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./support/postgres/pgbouncer.mts";
import { startServer, type TestServer, type Version } from "./support/postgres/server.mts";

const servers: [Version, TestServer][] = [];
for (const version of [15, 16, 18] satisfies Version[]) {
  const server = await startServer({ version });
  after(server.cleanup);
  servers.push([version, server]);
}
const newest = servers[servers.length - 1][1];
const pgbouncer = skipWithoutPgBouncer() ? undefined : await startPgBouncer(newest);
if (pgbouncer) after(pgbouncer.cleanup);
const urls = await Promise.all(servers.map(([, server]) => server.createDatabase()));
const url = urls[urls.length - 1];

// Nothing is waited for from here on: once all tests that there are have ended, what was started is removed.
for (const [number, [version]] of servers.entries()) {
  contract(`Postgres ${version}`, opener(urls[number]), { ours: true, remove });
}
contract("Postgres on tables partitioned by hash", opener(url, url, PARTITIONED), { ours: true, remove });
if (pgbouncer) contract("Postgres through PgBouncer", opener(pgbouncer.urlOf(url), url), { ours: true, remove });
