// @ts-check
// The installed package, required from a CommonJS module.

const assert = require("node:assert/strict");

const { testSessionPersistDriver } = require("sandbox-agent-persist/conformance");

const addons = Object.keys(require.cache).filter((file) => file.endsWith(".node"));
assert.deepEqual(addons, [], "the suite of conformance loads no addon");

const { SQLiteSessionPersistDriver } = require("sandbox-agent-persist");

(async () => {
  const { checkConformance, storeAndReadBack } = await import("./job.mjs");
  await storeAndReadBack(SQLiteSessionPersistDriver, "commonjs.db");
  const { InMemorySessionPersistDriver } = await import("sandbox-agent");
  await checkConformance(testSessionPersistDriver, InMemorySessionPersistDriver);
})();
