// Runs the program of the README's quick start.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

import { blocks, section } from "./console.mts";
import type { Storage } from "./storage.mts";
import { path } from "./types/compiler.mts";

/** Where it runs, and what it says to the agent: what the README says, if absent. */
interface Run {
  storage: Storage;
  /** Of the server. */
  baseUrl: string;
  prompt?: string;
}

/** Runs it word by word, but for where the server and the store are. */
export async function runQuickStart({ storage, baseUrl, prompt }: Run): Promise<void> {
  const [program] = blocks(section(readFileSync(path("README.md"), "utf8"), "## Quick start"), "ts");
  assert.ok(program, "README.md has a program under `## Quick start`");
  let code = replaced(program, /http:\/\/127\.0\.0\.1:2468/, baseUrl);
  code = replaced(code, /agent: "\w+"/, 'agent: "mock"');
  if (prompt !== undefined) code = replaced(code, /text: "[^"]*"/, `text: ${JSON.stringify(prompt)}`);
  code = replaced(code, /\{ filename: "[^"]*" \}/, JSON.stringify(storage.options));
  if (storage.driver === "Postgres") code = replaced(code, /SQLiteSession/, "PostgresSession");
  // As a program of this package, which its own name leads to.
  const { stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", code], {
    cwd: path("."),
    // It prints each update.
    maxBuffer: 64 << 20,
  });
  // The SDK says there what it could not store.
  assert.equal(stderr, "");
}

/** The program with something else in one place, which must be there. */
function replaced(code: string, what: RegExp, by: string): string {
  assert.match(code, what);
  return code.replaceAll(new RegExp(what, "g"), by);
}
