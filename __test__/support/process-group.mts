/** A script of `programs/`, in a process group of its own with all that it starts, and the messages that it sends. */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

import { program } from "./programs.mts";

export class ProcessGroup {
  readonly #child: ChildProcess;
  readonly #messages: any[] = [];
  readonly #ended: Promise<string>;
  #stderr = "";
  #over = false;
  #heard = () => {};

  constructor(
    atEnd: (undo: () => unknown) => unknown,
    script: string,
    parameters: string[],
    env: Record<string, string> = {},
  ) {
    const { path, execArgv } = program(script);
    this.#child = fork(path, parameters, {
      execArgv,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child.stderr!.on("data", (data) => (this.#stderr += data));
    this.#child.on("message", (message) => {
      this.#messages.push(message);
      this.#heard();
    });
    // Not "exit": messages may still be on their way then.
    this.#ended = once(this.#child, "close").then(([code, signal]) => {
      this.#over = true;
      this.#heard();
      return `${code ?? signal}`;
    });
    atEnd(async () => {
      this.killGroup();
      await this.#ended;
    });
  }

  /** The next message of that type; those of other types before it are left for other calls. */
  async next(type: string): Promise<any> {
    for (;;) {
      const position = this.#messages.findIndex((message) => message.type === type);
      if (position >= 0) return this.#messages.splice(position, 1)[0];
      if (this.#over) {
        throw new Error(`the program ended with ${await this.#ended} and no message "${type}":\n${this.#stderr}`);
      }
      await new Promise<void>((resolve) => (this.#heard = resolve));
    }
  }

  /** The messages of that type that nobody asked for yet. */
  rest(type: string): any[] {
    return this.#messages.filter((message) => message.type === type);
  }

  send(message: string): void {
    this.#child.send(message);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal);
    await this.#ended;
  }

  killGroup(): void {
    try {
      process.kill(-this.#child.pid!, "SIGKILL");
    } catch {
      // All of it is gone already.
    }
  }

  /** Resolves when the program has ended by itself, to what it wrote to stderr. */
  async finished(): Promise<string> {
    assert.equal(await this.#ended, "0", this.#stderr);
    return this.#stderr;
  }
}
