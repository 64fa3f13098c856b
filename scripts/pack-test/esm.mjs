// @ts-check
// The installed package, imported from an ES module.

import { InMemorySessionPersistDriver } from "sandbox-agent";
import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";
import { testSessionPersistDriver } from "sandbox-agent-persist/conformance";

import { checkConformance, storeAndReadBack } from "./job.mjs";

await storeAndReadBack(SQLiteSessionPersistDriver, "esm.db");
await checkConformance(testSessionPersistDriver, InMemorySessionPersistDriver);
