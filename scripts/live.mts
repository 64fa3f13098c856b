/**
 * Sessions in the browser while agents work on them: the real server with the mock agent, writers that prompt now and then, and
 * the web server, all as in `examples/live`. `npm run example:live` runs this; Ctrl-C ends all of it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { startServer } from "../__test__/support/agent/server.mts";

const USER = "ada";
const SESSIONS = ["nightly-build", "code-review", "release-notes"];
const PROMPTS = ["Run npm test", "Run npm audit", "Run git status", "What do you know about me?"];
/** So often one of the sessions is prompted. */
const PAUSE_MS = 4_000;

const folder = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-"));
const agents = await startServer();
const env = { ...process.env, DATABASE: join(folder, "sandbox-agent.db"), SANDBOX_AGENT_URL: agents.baseUrl };

/** Starts an example, and waits until it has said that it is ready. */
async function start(name: string, ...args: string[]) {
  const path = fileURLToPath(new URL(`../examples/live/${name}`, import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", path, ...args], {
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  // It may be gone already when it is to be prompted.
  child.stdin.on("error", () => {});
  const ended = once(child, "close");
  const said = once(createInterface({ input: child.stdout }), "line");
  const [line] = await Promise.race([said, ended.then(() => Promise.reject(new Error(`${name} did not start`)))]);
  return { child, ended, line };
}

const writers = await Promise.all(SESSIONS.map((id) => start("writer.mts", USER, id)));
const server = await start("server.mts");
console.log(`Open ${server.line}?user=${USER} in your browser. Ctrl-C ends everything.`);

let turn = 0;
function prompt(): void {
  writers[turn % writers.length]!.child.stdin.write(`${PROMPTS[turn % PROMPTS.length]}\n`);
  turn += 1;
}
prompt();
const timer = setInterval(prompt, PAUSE_MS);

async function end(): Promise<void> {
  clearInterval(timer);
  for (const { child } of [...writers, server]) child.kill("SIGTERM");
  await Promise.all([...writers, server].map(({ ended }) => ended));
  await agents.cleanup();
  rmSync(folder, { recursive: true, force: true });
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end);
