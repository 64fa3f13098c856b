/** The contract suite against Postgres, on whichever runtime runs this file: the server is the one of DATABASE_URL. */
import { PostgresSessionPersistDriver } from "../../index.js";
import { contract, type ContractDriver } from "../../__test__/contract.mts";
import { query } from "../../__test__/postgres/server.mts";

const url = process.env["DATABASE_URL"];
if (!url) throw new Error("DATABASE_URL must name a server: scripts/test-runtimes.mjs starts one.");

const schemas = new WeakMap<ContractDriver, string>();

contract(
  "Postgres",
  async (options) => {
    const schema = `contract_${crypto.randomUUID().replaceAll("-", "")}`;
    const driver = new PostgresSessionPersistDriver({ connectionString: url, schema, ...options });
    schemas.set(driver, schema);
    return driver;
  },
  {
    ours: true,
    remove: async (driver, { session, eventIndex }) => {
      const schema = schemas.get(driver);
      const deleted =
        eventIndex === undefined
          ? await query(url, `DELETE FROM ${schema}.sessions WHERE id = $1 RETURNING 1`, [session])
          : await query(url, `DELETE FROM ${schema}.events WHERE session_id = $1 AND event_index = $2 RETURNING 1`, [
              session,
              eventIndex,
            ]);
      if (deleted.length !== 1) throw new Error(`${deleted.length} rows were deleted`);
    },
  },
);
