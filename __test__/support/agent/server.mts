/**
 * Starts the real `sandbox-agent` server, as npm installs it, with `mock-agent.mjs` as its agent `mock`. `npm start`,
 * the tests and the benchmark run on it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { findServerBinary, makeAgentHome } from "./home.mjs";

export { findServerBinary, makeAgentHome };

const HEALTH_TIMEOUT_MS = 15_000;

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
