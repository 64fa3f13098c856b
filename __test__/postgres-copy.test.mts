/** `copySessions` into Postgres. */
import { after } from "node:test";

import { makeSchema } from "./support/postgres/schema.mts";
import { startServer } from "./support/postgres/server.mts";
import { copies } from "./suites/copy.mts";

const server = await startServer();
after(server.cleanup);

copies(
  "Postgres",
  async () => ({ driver: "Postgres", options: { connectionString: server.url, schema: await makeSchema(server.url) } }),
  server.url,
);
