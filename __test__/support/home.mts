/** A temporary directory for servers, and the programs in it. Neither outlives this process, however that ends. */
import { execFileSync, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { chownSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where homes are made. All tests of a run make hundreds of databases: scripts/test.mjs has a quicker place for them. */
const PLACE = process.env["SERVER_HOMES"] ?? tmpdir();

/** How much of the newest log is kept. */
const LOG_LENGTH = 200_000;

/**
 * A shell that waits for its standard input to end, which it does with this process, even at a SIGKILL. Then it ends the
 * program whose id it was told last, and removes the directory, again if the program has put something there meanwhile.
 */
const GUARDIAN = `
while read -r line; do pid=$line; done
[ -n "$pid" ] && kill -QUIT "$pid"
until rm -rf "$1" || [ "$((tries += 1))" -gt 100 ]; do sleep 0.1; done`;

/** A program in a `Home`. */
export interface Program {
  pid: number;
  readonly running: boolean;
  /** Settles when the program and everything that it started is gone, with the program's exit code. */
  ended: Promise<number | null>;
  /** Resolves when the program has printed this; rejects when it ends without. */
  printed(wanted: RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** A temporary directory and the one program at a time that runs in it. Neither outlives this process. */
export interface Home {
  directory: string;
  /** What its programs have printed. */
  log(): string;
  /** Writes a file that the programs, and nobody else, may read. */
  write(path: string, text: string): void;
  start(program: string, args: string[]): Program;
  /** Starts a program and waits for its end; rejects when it fails. */
  run(program: string, args: string[]): Promise<void>;
  /** Ends the program and removes the directory. */
  remove(): Promise<void>;
}

/** PostgreSQL refuses to run as root. Every system has this other user, so none has to be added for it. */
export function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (which: string) => Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

export function makeHome(): Home {
  if (process.platform === "win32") throw new Error("This needs a shell and signals: Linux or macOS.");
  const user = unprivileged();
  const directory = mkdtempSync(join(PLACE, "sandbox-agent-persist-"));
  // Detached, so that a Ctrl-C in the terminal does not end it together with this process.
  const guardian = spawn("sh", ["-c", GUARDIAN, "sh", directory], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guardian.stdin.on("error", () => {});
  const removed = once(guardian, "exit");
  const own = (path: string) => user.uid !== undefined && chownSync(path, user.uid, user.gid!);
  own(directory);

  let log = "";
  let program: Program | undefined;
  const start = (path: string, args: string[]): Program => {
    if (program?.running) throw new Error("The last program that was started here still runs.");
    // Nothing is inherited: what outlives this process for a moment must not hold its caller's pipes.
    const child = spawn(path, args, {
      ...user,
      cwd: directory,
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    guardian.stdin.write(`${child.pid ?? ""}\n`);
    const news = new EventEmitter();
    let text = "";
    let running = true;
    const hear = (part: string) => {
      text = (text + part).slice(-LOG_LENGTH);
      log = (log + part).slice(-LOG_LENGTH);
      news.emit("heard");
    };
    child.stdout.setEncoding("utf8").on("data", hear);
    child.stderr.setEncoding("utf8").on("data", hear);
    child.on("error", (error) => hear(`${error.message}\n`));
    // Every process that the program starts holds its pipes too: they close with the last one.
    const ended = new Promise<number | null>((resolve) => {
      child.on("close", (code) => {
        guardian.stdin.write("\n");
        running = false;
        news.emit("heard");
        resolve(code);
      });
    });
    const printed = async (wanted: RegExp) => {
      while (!wanted.test(text)) {
        if (!running) throw new Error(`${path} ended before it said ${wanted}. It said:\n${text}`);
        await once(news, "heard");
      }
    };
    program = {
      pid: child.pid ?? 0,
      get running() {
        return running;
      },
      ended,
      printed,
      kill: (signal) => void child.kill(signal),
    };
    return program;
  };

  return {
    directory,
    log: () => log,
    write: (path, text) => {
      writeFileSync(path, text, { mode: 0o600 });
      own(path);
    },
    start,
    run: async (path, args) => {
      const code = await start(path, args).ended;
      if (code !== 0) throw new Error(`${path} failed. It said:\n${log}`);
    },
    remove: async () => {
      guardian.stdin.end();
      await Promise.all([removed, program?.ended]);
    },
  };
}
