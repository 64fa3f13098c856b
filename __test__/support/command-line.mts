// Runs the command line in a process of its own, as `npx sandbox-agent-persist` does.
import { spawn } from "node:child_process";
import path from "node:path";
import { text } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";

/** What `npx` runs. */
export const program = path.join(import.meta.dirname, "..", "..", "cli.js");

/** What came of a run. */
export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A command under way. */
export interface Running {
  kill(signal: NodeJS.Signals): void;
  /** Asks again and again until it is so. Rejects when the command ends before that. */
  until(isSo: () => boolean | Promise<boolean>): Promise<void>;
  ended: Promise<Outcome>;
}

interface Surroundings {
  /** On top of a bare environment. */
  env?: Record<string, string>;
  input?: string;
  cwd?: string;
}

/** Runs a command without a terminal, and waits for its end. */
export function run(arguments_: string[], surroundings: Surroundings = {}): Promise<Outcome> {
  return begin(arguments_, surroundings).ended;
}

/** Runs a command without a terminal. */
export function begin(arguments_: string[], { env = {}, input = "", cwd }: Surroundings = {}): Running {
  const child = spawn(process.execPath, [program, ...arguments_], {
    cwd,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
  });
  child.stdin.on("error", () => {}); // it may not read all of it
  child.stdin.end(input);
  const ended = new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));
  const all = Promise.all([text(child.stdout), text(child.stderr), ended]);
  return {
    kill: (signal) => void child.kill(signal),
    until: async (isSo) => {
      while (!(await isSo())) {
        if (child.exitCode !== null) throw new Error(`it ended too early: ${JSON.stringify(await all)}`);
        await setImmediate();
      }
    },
    ended: all.then(([stdout, stderr, code]) => ({ code, stdout, stderr })),
  };
}

/** The objects that a run has printed, one a line. */
export function objects<T>({ stdout }: Outcome): T[] {
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}
