/** A temporary directory of one test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** A new directory, removed after the test. */
export function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
