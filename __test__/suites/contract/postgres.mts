/** Drivers for the contract suite on a Postgres server, each on a schema of its own, and another program beside them. */
import { PostgresSessionPersistDriver } from "../../../index.js";
import type { ContractDriver, OpenDriver } from "./driver.mts";
import { query } from "../../support/postgres/server.mts";

const schemas = new WeakMap<ContractDriver, { url: string; schema: string }>();

/** Opens drivers at `url`. `fill` gives the SQL that makes tables first; it and the other program connect to `admin`. */
export function opener(url: string, admin = url, fill?: (schema: string) => string): OpenDriver {
  const filled = new Map<string, Promise<unknown>>();
  return async (schema, options) => {
    if (fill && !filled.has(schema)) filled.set(schema, query(admin, `CREATE SCHEMA ${schema}; ${fill(schema)}`));
    await filled.get(schema);
    const driver = new PostgresSessionPersistDriver({ connectionString: url, schema, ...options });
    schemas.set(driver, { url: admin, schema });
    return driver;
  };
}

/** Deletes a row as another program would. */
export async function remove(
  driver: ContractDriver,
  { session, eventIndex }: { session: string; eventIndex?: number },
) {
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
