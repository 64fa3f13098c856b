/** PgBouncer in transaction mode in front of a server: the pooler that most hosts have. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

import getPort from "get-port";

import { makeHome, type Program } from "../home.mts";
import type { Postgres } from "./embedded.mts";

export interface PgBouncer {
  host: string;
  port: number;
  pid: number;
  /** What a client connects to for this URL of the server. */
  urlOf(url: string): string;
  log(): string;
  /** Ends it at once, as a crash would. Its port refuses connections until `start`. */
  kill(): Promise<void>;
  start(): Promise<void>;
  cleanup(): Promise<void>;
}

/** Where it is. Debian keeps it where only root's `PATH` leads. */
function find(): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
  return folders
    .map((folder) => join(folder, "pgbouncer"))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Whether PgBouncer is installed. */
export function available(): boolean {
  return find() !== undefined;
}

/** For a test's option `skip`: false where PgBouncer is installed; elsewhere the reason, which is also printed. */
export function skipWithoutPgBouncer(): string | false {
  if (available()) return false;
  const reason = "PgBouncer is not installed (apt-get install pgbouncer)";
  console.warn(`\n*** NOT TESTED: ${reason} ***\n`);
  return reason;
}

/** Starts PgBouncer on a free port. `settings` are lines of its section `[pgbouncer]`, where the last of a name wins. */
export async function startPgBouncer(server: Postgres, settings: string[] = []): Promise<PgBouncer> {
  const binary = find();
  if (!binary) throw new Error("PgBouncer is not installed.");
  const home = makeHome();
  const { host, user, password } = server;
  const configuration = join(home.directory, "pgbouncer.ini");
  const users = join(home.directory, "users.txt");
  let port = 0;
  let program: Program;

  const start = async () => {
    program = home.start(binary, [configuration]);
    await program.printed(/process up: /);
  };
  try {
    home.write(users, `"${user}" "${password}"\n`);
    for (let tries = 1; port === 0; tries += 1) {
      port = await getPort({ host });
      const lines = [
        "[databases]",
        `* = host=${server.host} port=${server.port}`,
        "[pgbouncer]",
        `listen_addr = ${host}`,
        `listen_port = ${port}`,
        "unix_socket_dir =",
        "auth_type = scram-sha-256",
        `auth_file = ${users}`,
        "pool_mode = transaction",
        "default_pool_size = 3",
        ...settings,
      ];
      home.write(configuration, `${lines.join("\n")}\n`);
      try {
        await start();
      } catch (error) {
        // Somebody may have taken the port in between.
        if (tries === 5 || !String(error).includes("Address already in use")) throw error;
        port = 0;
      }
    }
  } catch (error) {
    await home.remove();
    throw error;
  }
  return {
    host,
    port,
    get pid() {
      return program.pid;
    },
    urlOf: (url) => url.replace(`${server.host}:${server.port}`, `${host}:${port}`),
    log: home.log,
    kill: async () => {
      program.kill("SIGKILL");
      await program.ended;
    },
    start,
    cleanup: home.remove,
  };
}
