/**
 * How Node runs a script of `programs/`: with tsx, which takes a quarter of a second at each start, or as scripts/test.mjs
 * has compiled it for all tests of a run.
 */
import { join } from "node:path";

const compiled = process.env["COMPILED_PROGRAMS"];

export function program(script: string): { path: string; execArgv: string[] } {
  return compiled
    ? { path: join(compiled, script.replace(/\.mts$/, ".mjs")), execArgv: [] }
    : { path: join(import.meta.dirname, "programs", script), execArgv: ["--import", "tsx"] };
}
