/** The SDK on the real server, with its sessions in SQLite files. */
import { join } from "node:path";

import { makeDirectory, sdkSuite } from "./suites/sdk.mts";

sdkSuite("SQLite", (atEnd) => ({ driver: "SQLite", options: { filename: join(makeDirectory(atEnd), "sessions.db") } }));
