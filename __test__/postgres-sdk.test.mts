/** The SDK on the real server, with its sessions in Postgres. */
import { after } from "node:test";

import { startServer } from "./support/postgres/server.mts";
import { sdkSuite } from "./suites/sdk.mts";

// It waits for the disk, as a server does outside of tests.
const server = await startServer({ fsync: true });
after(server.cleanup);
let made = 0;

sdkSuite("Postgres", () => ({
  driver: "Postgres",
  options: { connectionString: server.url, schema: `sdk_${(made += 1)}` },
}));
