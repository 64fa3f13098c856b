/**
 * Starts the real `sandbox-agent` server, as npm installs it, with `mock-agent.mjs` as its agent `mock`. The example,
 * the tests and the benchmark run on it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, chmodSync, constants, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const HEALTH_TIMEOUT_MS = 15_000;

/** A directory in which a server finds our mock agent and keeps its logs. */
export interface AgentHome {
  /** The server's `XDG_DATA_HOME`. */
  dataHome: string;
  /** The variables to start the server with, beside those of this process. */
  env: Record<string, string>;
  /** Removes the directory. */
  remove(): void;
}

/** A server that runs. */
export interface Server {
  /** For `SandboxAgent.connect`. */
  baseUrl: string;
  pid: number;
  dataHome: string;
  env: Record<string, string>;
  /** Sends the signal and waits until the server is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Kills the server if it still runs, and removes its directory. */
  cleanup(): Promise<void>;
}

/** The server's binary, where `sandbox-agent/local` looks for it too: in the package for this platform. */
export function findServerBinary(): string {
  const name = `@sandbox-agent/cli-${process.platform}-${process.arch}`;
  // From the SDK's own place: the package is a dependency of the SDK, not ours.
  const { resolve } = createRequire(import.meta.resolve("sandbox-agent"));
  let manifest: string;
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

/** Makes a temporary home in which the agent `mock` is `mock-agent.mjs`. */
export function makeAgentHome(): AgentHome {
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

async function findFreePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  await once(listener, "close");
  return port;
}

function readLogs(dataHome: string): string {
  const logs = join(dataHome, "sandbox-agent", "logs");
  try {
    return readdirSync(logs)
      .map((name) => readFileSync(join(logs, name), "utf8"))
      .join("");
  } catch {
    return "(it left no log)";
  }
}

async function waitForHealth(baseUrl: string, child: ChildProcess, dataHome: string): Promise<void> {
  const deadline = Date.now() + HEALTH_TIMEOUT_MS;
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    const healthy = await fetch(`${baseUrl}/v1/health`).then(
      (response) => response.ok,
      () => false,
    );
    if (healthy) return;
    await delay(20);
  }
  throw new Error(`The sandbox-agent server at ${baseUrl} did not start. Its log:\n${readLogs(dataHome)}`);
}

/** Starts a server on a free port and waits until it answers. */
export async function startServer(): Promise<Server> {
  const binary = findServerBinary();
  const port = await findFreePort();
  const { dataHome, env, remove } = makeAgentHome();
  const options = ["--no-token", "--no-telemetry", "--host", "127.0.0.1", "--port", String(port)];
  const child = spawn(binary, ["server", ...options], { stdio: "ignore", env: { ...process.env, ...env } });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });

  // For a process that ends before it gets to `cleanup`.
  const onExit = () => {
    child.kill("SIGKILL");
    remove();
  };
  process.once("exit", onExit);

  const kill = async (signal: NodeJS.Signals = "SIGKILL") => {
    child.kill(signal);
    await ended;
  };
  const cleanup = async () => {
    await kill();
    process.off("exit", onExit);
    remove();
  };

  const baseUrl = `http://127.0.0.1:${port}`;
  try {
    await waitForHealth(baseUrl, child, dataHome);
  } catch (error) {
    await cleanup();
    throw error;
  }
  return { baseUrl, pid: child.pid!, dataHome, env, kill, cleanup };
}
