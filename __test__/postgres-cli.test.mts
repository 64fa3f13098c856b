/** The command line on Postgres. */
import { after } from "node:test";

import { makeSchema } from "./support/postgres/schema.mts";
import { query, startServer } from "./support/postgres/server.mts";
import { commandLine } from "./suites/cli.mts";
import { administrator } from "./suites/cli/administrator.mts";
import { secrets } from "./suites/cli/secrets.mts";

const server = await startServer();
after(server.cleanup);

commandLine("Postgres", async () => {
  const schema = await makeSchema(server.url);
  return {
    storage: { driver: "Postgres", options: { connectionString: server.url, schema } },
    store: `${server.url}${server.url.includes("?") ? "&" : "?"}schema=${schema}`,
    sql: async (text) => void (await query(server.url, `SET search_path = ${schema}; ${text}`)),
  };
});

administrator(server);

secrets(server.url);
