#!/usr/bin/env node
// @ts-check
/**
 * Starts the `sandbox-agent` server with an agent that needs no account, for the quick start in README.md. A port may
 * follow; 2468 if none does. The server's own agent `mock` only sends back what it gets, which is no session.
 */
import { spawn } from "node:child_process";

import { findServerBinary, makeAgentHome } from "../__test__/support/agent/home.mjs";

const port = process.argv[2] ?? "2468";
const baseUrl = `http://127.0.0.1:${port}`;
const answers = () =>
  fetch(`${baseUrl}/v1/health`).then(
    () => true,
    () => false,
  );
if (await answers()) {
  console.error(`There is a server at ${baseUrl} already. Name another port: mock-server.mjs 2469`);
  process.exit(1);
}

const { env, remove } = makeAgentHome();
const options = ["--no-token", "--no-telemetry", "--host", "127.0.0.1", "--port", port];
const server = spawn(findServerBinary(), ["server", ...options], {
  stdio: ["ignore", "ignore", "inherit"],
  env: { ...process.env, ...env },
});
server.once("exit", (code) => {
  remove();
  process.exitCode = code ?? 0;
});
let asked = false;
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
  process.on(signal, () => {
    // A server that does not end by itself is ended by the second time.
    server.kill(asked ? "SIGKILL" : signal);
    asked = true;
  });
}

while (server.exitCode === null && server.signalCode === null) {
  if (await answers()) {
    console.log(`The sandbox-agent server listens at ${baseUrl}, with the agent "mock". End it with Ctrl+C.`);
    break;
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
}
