/** The table of docs/conformance.md: it says what was measured. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { measure } from "./support/conformance/measured.mts";
import { rowsOf } from "./support/conformance/page.mts";
import { path } from "./support/types/compiler.mts";

test("docs/conformance.md says what each driver passes (else run `node --import tsx scripts/conformance.mts`)", async () => {
  const page = rowsOf(readFileSync(path("docs/conformance.md"), "utf8"));
  const measured = await measure();
  assert.deepEqual([...page.keys()].sort(), [...measured.keys()].sort());
  for (const [name, row] of measured) if (row) assert.deepEqual(page.get(name), row);
});
