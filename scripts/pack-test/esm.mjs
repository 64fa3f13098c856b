// @ts-check
// The installed package, imported from an ES module.

import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";

import { storeAndReadBack } from "./job.mjs";

await storeAndReadBack(SQLiteSessionPersistDriver, "esm.db");
