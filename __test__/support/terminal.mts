// Runs the command line at a terminal, as a person does. A pseudo-terminal takes Python, which node-gyp needs as well.
import { spawn, spawnSync } from "node:child_process";
import path from "node:path";
import type { TestContext } from "node:test";

import { program } from "./command-line.mts";

const script = path.join(import.meta.dirname, "terminal.py");

/** A reason to skip tests that need a terminal, where there can be none. */
export const noTerminal: string | false =
  process.platform === "win32" || spawnSync("python3", ["-c", "import pty"]).status !== 0
    ? "there is no python3 with pseudo-terminals"
    : false;

/** What is typed to end a program, and to say that there is nothing more to type. */
export const CTRL_C = "\x03";
export const CTRL_D = "\x04";

/** A command at a terminal. */
export interface Terminal {
  /** Types these keys. */
  type(keys: string): void;
  /** All that was shown so far, with its control characters; lines end with `\r\n`. */
  shown(): string;
  /** Waits until something like this was shown. Rejects when the command ends without. */
  until(pattern: RegExp): Promise<void>;
  /** The exit code, once the command has ended and all that it said was shown. 128 and more: a signal. */
  ended: Promise<number | null>;
}

/**
 * Runs a command at a terminal of this size. It is ended with the test. `env` comes on top of a bare environment. `shell` is what a shell
 * is to run, for which the command is `"$0" "$@"`.
 */
export function atTerminal(
  t: TestContext,
  arguments_: string[],
  {
    columns = 80,
    rows = 24,
    env = {},
    cwd,
    shell,
  }: { columns?: number; rows?: number; env?: Record<string, string>; cwd?: string; shell?: string } = {},
): Terminal {
  const command = [process.execPath, program, ...arguments_];
  if (shell !== undefined) command.unshift("bash", "-c", shell);
  const child = spawn("python3", [script, String(columns), String(rows), ...command], {
    cwd,
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], TERM: "xterm-256color", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let shown = "";
  let isOver = false;
  const watchers = new Set<() => void>();
  const tell = () => watchers.forEach((watcher) => watcher());
  child.stdin.on("error", () => {}); // it may have ended before the keys came
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    tell();
  });
  const ended = new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));
  void ended.finally(() => {
    isOver = true;
    tell();
  });
  t.after(async () => {
    child.kill("SIGKILL"); // with whom the terminal goes, and the command at it
    await ended;
  });
  return {
    type: (keys) => void child.stdin.write(keys),
    shown: () => shown,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const watcher = () => {
          if (!pattern.test(shown) && !isOver) return;
          watchers.delete(watcher);
          if (pattern.test(shown)) resolve();
          else reject(new Error(`the command ended, and did not show ${pattern}: ${shown}`));
        };
        watchers.add(watcher);
        watcher();
      }),
    ended,
  };
}
