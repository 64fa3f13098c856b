/** Starts a script of `programs/` as a process of its own, talks with it, and ends it with the test. */
import { fork } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";

import { program } from "./programs.mts";

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
}

export interface Started {
  pid: number;
  /** The script's next message, which it may have sent already. Rejects when the process ends without one. */
  next<M>(): Promise<M>;
  send(message: unknown): void;
  kill(signal: NodeJS.Signals): void;
  /** Settles when the process has ended and every message that it sent can be taken with `rest`. */
  ended: Promise<Ended>;
  /** The messages that nobody took. */
  rest<M>(): M[];
}

export function start(t: TestContext, script: string, args: string[] = [], nodeOptions: string[] = []): Started {
  const { path, execArgv } = program(script);
  const child = fork(path, args, {
    execArgv: [...execArgv, ...nodeOptions],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const untaken: unknown[] = [];
  const takers: { resolve: (message: never) => void; reject: (error: Error) => void }[] = [];
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.on("message", (message) => {
    const taker = takers.shift();
    if (taker) taker.resolve(message as never);
    else untaken.push(message);
  });
  let over = false;
  const gone = () => new Error(`${script} ended without the message that was waited for: ${stderr}`);
  const ended = Promise.all([once(child, "close"), once(child, "disconnect")]).then(([[code, signal]]) => {
    over = true;
    for (const taker of takers.splice(0)) taker.reject(gone());
    return { code, signal, stderr } as Ended;
  });
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return {
    pid: child.pid ?? 0,
    next: <M,>() => {
      if (untaken.length > 0) return Promise.resolve(untaken.shift() as M);
      if (over) return Promise.reject(gone());
      return new Promise<M>((resolve, reject) => takers.push({ resolve, reject }));
    },
    send: (message) => void child.send(message as object, () => {}),
    kill: (signal) => void child.kill(signal),
    ended,
    rest: <M,>() => untaken.splice(0) as M[],
  };
}
