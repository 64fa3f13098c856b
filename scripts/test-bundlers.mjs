// @ts-check
// Builds a small server around the packed package with each bundler of docs/bundlers.md, as that page says, and runs it.
//
//   node scripts/test-bundlers.mjs                 all
//   node scripts/test-bundlers.mjs esbuild next    some

import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import getPort from "get-port";

import { check, command, install, makeProject, packMain, packPlatform, pinned } from "./package.mjs";
import { root } from "./run.mjs";

const START_TIMEOUT_MS = 60_000;

/** @type {Record<string, (tarballs: string[]) => Promise<void>>} */
const bundlers = {
  esbuild: (tarballs) => bundle("esbuild", pinned("esbuild"), tarballs),
  webpack: (tarballs) => bundle("webpack", "webpack@5", tarballs),
  next: buildNext,
};

const chosen = process.argv.slice(2);
const temporary = mkdtempSync(path.join(tmpdir(), "sandbox-agent-persist-bundlers-"));
try {
  const tarballs = [packMain(temporary).tarball, packPlatform(temporary).tarball];
  for (const [name, test] of Object.entries(bundlers)) {
    if (chosen.length === 0 || chosen.includes(name)) await test(tarballs);
  }
  say("passed");
} catch (error) {
  console.error(`test:bundlers: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  rmSync(temporary, { recursive: true, force: true, maxRetries: 5 });
}

/**
 * A bundler that makes one file of the server, for each of Node's two kinds of module.
 *
 * @param {string} name
 * @param {string} packageName
 * @param {string[]} tarballs
 */
async function bundle(name, packageName, tarballs) {
  const project = makeProject(path.join(temporary, name));
  install(project, ...tarballs, packageName);
  cpSync(path.join(root, "scripts", "bundlers"), path.join(project, "bundlers"), { recursive: true });
  command(process.execPath, [`bundlers/${name}.mjs`], project);
  for (const file of [`dist/${name}.mjs`, `dist/${name}.cjs`]) {
    await serve(project, [file], "GET", "/");
    say(`${packageName}: ${file} stores and reads events`);
    rmSync(path.join(project, "bundled.db"));
  }
}

/** @param {string[]} tarballs */
async function buildNext(tarballs) {
  const project = makeProject(path.join(temporary, "next"));
  install(project, ...tarballs, "next@16", "react@19", "react-dom@19");
  cpSync(path.join(root, "scripts", "bundlers", "next"), project, { recursive: true });
  const next = path.join("node_modules", "next", "dist", "bin", "next");
  command(process.execPath, [next, "build"], project, { NEXT_TELEMETRY_DISABLED: "1" });
  await serve(project, [next, "start", "--hostname", "127.0.0.1"], "POST", "/events");
  say("next@16: a route stores and reads events");
}

/**
 * Starts a server, asks it twice, and ends it.
 *
 * @param {string} project
 * @param {string[]} args
 * @param {string} method
 * @param {string} route
 */
async function serve(project, args, method, route) {
  const port = await getPort({ host: "127.0.0.1" });
  const env = { ...process.env, PORT: String(port), NEXT_TELEMETRY_DISABLED: "1" };
  const child = spawn(process.execPath, args, { cwd: project, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const ended = once(child, "exit");
  try {
    const url = `http://127.0.0.1:${port}${route}`;
    const first = await ask(url, method, child);
    const second = await ask(url, method, child);
    const ids = (/** @type {{ id: string }[]} */ events) => events.map(({ id }) => id).join();
    check(ids(first) === "event-1", `The first answer is ${JSON.stringify(first)}.`);
    check(ids(second) === "event-1,event-2", `The second answer is ${JSON.stringify(second)}.`);
  } catch (cause) {
    throw new Error(`node ${args.join(" ")}: ${cause instanceof Error ? cause.message : cause}\n${output}`, { cause });
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}

/**
 * The events that the server answers with, once it listens.
 *
 * @param {string} url
 * @param {string} method
 * @param {import("node:child_process").ChildProcess} child
 */
async function ask(url, method, child) {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (child.exitCode === null && Date.now() < deadline) {
    const response = await fetch(url, { method }).catch(() => undefined);
    if (response?.ok) return /** @type {{ id: string }[]} */ (await response.json());
    check(!response || response.status === 404, `${url} answered ${response?.status}: ${await response?.text()}`);
    await delay(50);
  }
  throw new Error(`the server did not answer at ${url}`);
}

/** @param {string} text */
function say(text) {
  console.log(`test:bundlers: ${text}`);
}
