/** The command line on Postgres. */
import { after } from "node:test";

import { startServer } from "./support/postgres/server.mts";
import { commandLine } from "./suites/cli.mts";
import { administrator } from "./suites/cli/administrator.mts";
import { secrets } from "./suites/cli/secrets.mts";
import { newSchemaOf } from "./suites/cli/store.mts";

const server = await startServer();
after(server.cleanup);

commandLine("Postgres", newSchemaOf(server.url));

administrator(server);

secrets(server.url);
