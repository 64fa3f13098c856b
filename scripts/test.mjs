// @ts-check
// Runs all tests: those of the store in Rust, then those of the package in Node.
//
//   node scripts/test.mjs              all
//   node scripts/test.mjs --no-cargo   those in Node, on a machine without Rust

import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";

import { root, run } from "./run.mjs";

if (!process.argv.includes("--no-cargo")) {
  console.log("test: cargo test");
  run("cargo", ["test", "--locked"]);
}

// Listed here because not every shell expands `*.test.mts`.
const files = readdirSync(path.join(root, "__test__"))
  .filter((name) => name.endsWith(".test.mts"))
  .map((name) => path.join("__test__", name));

// Many tests start servers and writing processes of their own, so each file counts for two cores.
const concurrency = Math.max(1, Math.floor(availableParallelism() / 2));

console.log(`test: node --test, ${files.length} files, ${concurrency} at a time`);
run(process.execPath, [
  "--import",
  "tsx",
  "--test",
  `--test-concurrency=${concurrency}`,
  // A test that hangs must fail and say its name, not hold up the whole run.
  "--test-timeout=180000",
  "--test-reporter=spec",
  ...files,
]);
