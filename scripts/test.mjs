// @ts-check
// Runs all tests: those of the store in Rust, then those of the package in Node.
//
//   node scripts/test.mjs              all
//   node scripts/test.mjs --no-cargo   those in Node, on a machine without Rust

import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statfsSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";

import { buildSync } from "esbuild";

import { root, run } from "./run.mjs";

if (!process.argv.includes("--no-cargo")) {
  console.log("test: cargo test");
  run("cargo", ["test", "--locked"]);
}

// Listed here because not every shell expands `*.test.mts`.
const files = readdirSync(path.join(root, "__test__"))
  .filter((name) => name.endsWith(".test.mts"))
  .map((name) => path.join("__test__", name));

// A file waits for a quarter of its time: for locks, time limits and servers that start. More at once than one file that fills that
// gain nothing.
const concurrency = availableParallelism() + 1;

console.log(`test: node --test, ${files.length} files, ${concurrency} at a time`);
run(
  process.execPath,
  [
    "--import",
    "tsx",
    "--test",
    `--test-concurrency=${concurrency}`,
    // A test that hangs must fail and say its name, not hold up the whole run. A file has no more time than a test, on whatever machine.
    "--test-timeout=600000",
    "--test-reporter=spec",
    ...files,
  ],
  {
    env: {
      ...process.env,
      COMPILED_PROGRAMS: compilePrograms(),
      SERVER_HOMES: memory() ?? tmpdir(),
      POSTGRES_CLUSTERS: emptied("target/test/clusters"),
    },
  },
);

/**
 * Compiles the programs that tests start as processes of their own: with tsx each start would take a quarter of a second.
 *
 * @returns {string} where they are
 */
function compilePrograms() {
  const from = path.join(root, "__test__/support/programs");
  // As deep as where they come from, since a worker asks for the package by a path that nobody rewrites.
  const to = path.join(root, "target/test/programs");
  rmSync(to, { recursive: true, force: true });
  buildSync({
    entryPoints: readdirSync(from).map((name) => path.join(from, name)),
    outdir: to,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    // What a program imports at a later time is to be loaded then, and in its workers alone if so.
    splitting: true,
    packages: "external",
    external: [path.join(root, "index.js")],
    platform: "node",
    target: "node20",
    format: "esm",
  });
  return realpathSync(to);
}

/**
 * A directory of the project that is empty, and that nobody else can read.
 *
 * @param {string} name
 * @returns {string} where it is
 */
function emptied(name) {
  const directory = path.join(root, name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/**
 * A directory in memory, where the system has one with room in it and lets programs run there. The servers of the tests make
 * hundreds of databases, which takes several times as long on a disk.
 *
 * @returns {string | undefined}
 */
function memory() {
  const directory = "/dev/shm";
  const mounts = existsSync("/proc/mounts") ? readFileSync("/proc/mounts", "utf8") : "";
  const [, options] = new RegExp(`^\\S+ ${directory} tmpfs (\\S+)`, "m").exec(mounts) ?? [];
  if (!options || options.includes("noexec")) return undefined;
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize > 4 * 1024 ** 3 ? directory : undefined;
}
