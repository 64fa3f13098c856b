/** Runs programs from their start to their end: the command line of this package, and others that do what it does. */
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { type Figures, root } from "./measure.mts";

const CLI = join(root, "cli.js");

/** Runs a program, whose start is a part of what it takes, and gives what it printed, and how long it took, in ms. */
export async function runProgram(program: string, words: string[], environment: NodeJS.ProcessEnv = {}, input = "") {
  const start = performance.now();
  const child = spawn(program, words, {
    env: { ...process.env, ...environment },
    stdio: ["pipe", "pipe", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));
  // One that has failed does not read it.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const told = child.stdio[3] as NodeJS.ReadableStream;
  const [stdout, stderr, third, code] = await Promise.all([text(child.stdout), text(child.stderr), text(told), ended]);
  const milliseconds = performance.now() - start;
  if (code !== 0) throw new Error(`${program} ${words.join(" ")} ended with ${code}: ${stderr}`);
  return { stdout, third, milliseconds };
}

/** How long a command takes from its start to its end, in ms. */
export async function runCommand(words: string[], environment?: NodeJS.ProcessEnv): Promise<Figures> {
  const { milliseconds } = await runProgram(process.execPath, [CLI, ...words], environment);
  return { milliseconds };
}

/** The same of one that goes through `events` events: how many a second, and the most memory it had, in MB. */
export async function runLong(words: string[], events: number, environment?: NodeJS.ProcessEnv): Promise<Figures> {
  // Other systems have no file that tells it.
  const peak = process.platform === "linux" ? ["--require", join(root, "benchmark", "peak.cjs")] : [];
  const all = [...peak, CLI, ...words, "--json"];
  const { stdout, third, milliseconds } = await runProgram(process.execPath, all, environment);
  // A figure counts only if what it counts was done.
  const done = JSON.parse(stdout) as { events: number };
  if (done.events !== events) throw new Error(`${words.join(" ")} went through ${done.events} events of ${events}`);
  const kibibytes = Number(/^VmHWM:\s*(\d+) kB$/m.exec(third)?.[1] ?? Number.NaN);
  return { perSecond: (events / milliseconds) * 1000, megabytes: (kibibytes * 1024) / 1e6 };
}

/** What a program says of its version; nothing, if there is none. */
export function versionOf(program: string): string | undefined {
  const { status, stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}
