// @ts-check
// The installed package, required from a CommonJS module.

const { SQLiteSessionPersistDriver } = require("sandbox-agent-persist");

import("./job.mjs").then(({ storeAndReadBack }) => storeAndReadBack(SQLiteSessionPersistDriver, "commonjs.db"));
