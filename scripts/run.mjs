// @ts-check
// Starts commands for the other scripts: the same way on every system, and ends the script when one of them fails.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The directory of the project. Every command runs there unless it is told otherwise. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Runs a command and shows its output. Ends this process with the command's exit code when it fails.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 */
export function run(command, args, { cwd = root, env = process.env } = {}) {
  const result = spawnSync(command, args, { cwd, env, stdio: "inherit", shell: needsShell(command) });
  if (result.error) fail(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/**
 * What a command prints, or `undefined` when there is no such command or it fails.
 *
 * @param {string} command
 * @param {string[]} args
 * @returns {string | undefined}
 */
export function output(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", shell: needsShell(command) });
  return result.status === 0 ? result.stdout : undefined;
}

/**
 * The arguments that make `node` run a tool of `node_modules`: quicker than `npx`, and the same on Windows.
 *
 * @param {string} packageName
 * @param {string} [tool] the name of the tool, when it is not that of the package
 * @returns {string}
 */
export function tool(packageName, tool = packageName) {
  const directory = path.join(root, "node_modules", packageName);
  const { bin } = JSON.parse(readFileSync(path.join(directory, "package.json"), "utf8"));
  return path.join(directory, typeof bin === "string" ? bin : bin[tool]);
}

/**
 * Says what is wrong, in as many lines as it takes, and ends this process.
 *
 * @param {...string} lines
 * @returns {never}
 */
export function fail(...lines) {
  console.error(lines.map((line, index) => (index === 0 ? `error: ${line}` : `       ${line}`)).join("\n"));
  process.exit(1);
}

/** On Windows npm is `npm.cmd`, which only a shell can start. @param {string} command */
function needsShell(command) {
  return process.platform === "win32" && command === "npm";
}
