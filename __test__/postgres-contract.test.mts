/**
 * Runs the contract suite against the Postgres driver: on the oldest, a middle and the newest version of the server, on
 * tables that somebody has partitioned, and through PgBouncer.
 */
import { after } from "node:test";
import { PostgresSessionPersistDriver } from "../index.js";
import { contract, type ContractDriver, type OpenDriver } from "./contract.mts";
import { PARTITIONED } from "./postgres/partitioned.mts";
import { skipWithoutPgBouncer, startPgBouncer } from "./postgres/pgbouncer.mts";
import { query, startServer, type Version } from "./postgres/server.mts";

const schemas = new WeakMap<ContractDriver, { url: string; schema: string }>();
let made = 0;

/** Opens drivers on a schema of their own; `fill` makes tables there first. */
function opener(url: string, admin: string, fill?: (schema: string) => string): OpenDriver {
  return async (options) => {
    const schema = `contract_${(made += 1)}`;
    if (fill) await query(admin, `CREATE SCHEMA ${schema}; ${fill(schema)}`);
    const driver = new PostgresSessionPersistDriver({ connectionString: url, schema, ...options });
    schemas.set(driver, { url: admin, schema });
    return driver;
  };
}

/** Deletes a row as another program would. */
async function remove(driver: ContractDriver, { session, eventIndex }: { session: string; eventIndex?: number }) {
  const { url, schema } = schemas.get(driver)!;
  const deleted =
    eventIndex === undefined
      ? await query(url, `DELETE FROM ${schema}.sessions WHERE id = $1 RETURNING 1`, [session])
      : await query(url, `DELETE FROM ${schema}.events WHERE session_id = $1 AND event_index = $2 RETURNING 1`, [
          session,
          eventIndex,
        ]);
  if (deleted.length !== 1) throw new Error(`${deleted.length} rows were deleted`);
}

for (const version of [15, 16, 18] satisfies Version[]) {
  const server = await startServer({ version });
  after(server.cleanup);
  const url = await server.createDatabase();
  contract(`Postgres ${version}`, opener(url, url), { ours: true, remove });
  if (version !== 18) continue;

  contract("Postgres on tables partitioned by hash", opener(url, url, PARTITIONED), { ours: true, remove });

  if (!skipWithoutPgBouncer()) {
    const pgbouncer = await startPgBouncer(server);
    after(pgbouncer.cleanup);
    const pooled = pgbouncer.urlOf(url);
    contract("Postgres through PgBouncer", opener(pooled, url), { ours: true, remove });
  }
}
