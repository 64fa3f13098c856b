// @ts-check
/** Finds the `sandbox-agent` server that npm installs with the SDK, and makes a home for it with `mock-agent.mjs` as its agent `mock`. */
import { accessSync, chmodSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * A directory in which a server finds our mock agent and keeps its logs.
 *
 * @typedef {object} AgentHome
 * @property {string} dataHome the server's `XDG_DATA_HOME`
 * @property {Record<string, string>} env the variables to start the server with, beside those of this process
 * @property {() => void} remove removes the directory
 */

/** The server's binary, where `sandbox-agent/local` looks for it too: in the package for this platform. */
export function findServerBinary() {
  const name = `@sandbox-agent/cli-${process.platform}-${process.arch}`;
  // From the SDK's own place: the package is a dependency of the SDK, not ours.
  const { resolve } = createRequire(import.meta.resolve("sandbox-agent"));
  let manifest;
  try {
    manifest = resolve(`${name}/package.json`);
  } catch (cause) {
    throw new Error(`The sandbox-agent server for this machine, ${name}, is not installed.`, { cause });
  }
  const binary = join(dirname(manifest), "bin", "sandbox-agent");
  try {
    accessSync(binary, constants.X_OK);
  } catch {
    // `npm install --ignore-scripts` leaves it so.
    chmodSync(binary, 0o755);
  }
  return binary;
}

/**
 * Makes a temporary home in which the agent `mock` is `mock-agent.mjs`.
 *
 * @returns {AgentHome}
 */
export function makeAgentHome() {
  if (process.platform === "win32") throw new Error("The mock agent is a shell script: it needs Linux or macOS.");
  const home = mkdtempSync(join(tmpdir(), "sandbox-agent-home-"));
  // Where programs keep their data: a variable says so on Linux; on macOS it is always this place in the home.
  const dataHome = process.platform === "darwin" ? join(home, "Library", "Application Support") : home;
  const agents = join(dataHome, "sandbox-agent", "bin", "agent_processes");
  mkdirSync(agents, { recursive: true });
  const agent = fileURLToPath(new URL("mock-agent.mjs", import.meta.url));
  const quoted = [process.execPath, agent].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  writeFileSync(join(agents, "mock-acp"), `#!/bin/sh\nexec ${quoted}\n`, { mode: 0o755 });
  return {
    dataHome,
    env: { XDG_DATA_HOME: dataHome, ...(process.platform === "darwin" && { HOME: home }) },
    remove: () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }),
  };
}
