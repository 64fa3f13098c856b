/** Whether the driver does what the SDK relies on. Run it with `node --import tsx --test driver.test.mts`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

import { testSessionPersistDriver } from "sandbox-agent-persist/conformance";

import { JsonLinesDriver } from "./driver.mts";

const directory = mkdtempSync(join(tmpdir(), "json-lines-"));
after(() => rmSync(directory, { recursive: true }));

testSessionPersistDriver((store) => new JsonLinesDriver(join(directory, store)), {
  name: "JSON Lines",
  // Each has its own copy in memory.
  skip: ["several writers"],
});
