/** The programs that come with PostgreSQL for its operators: pg_dump, pg_restore and psql. */
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";

import type { Version } from "./server.mts";

const VERSIONS: Version[] = [18, 16, 15];

/** The newest server that this machine's pg_dump can dump: one of its own version, or an older one. */
export function versionForTools(): Version | undefined {
  const said = spawnSync("pg_dump", ["--version"], { encoding: "utf8" }).stdout ?? "";
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(said)?.[1] ?? 0);
  return VERSIONS.find((version) => version <= major);
}

/** For a test's option `skip`: false where the programs are installed; elsewhere the reason, which is also printed. */
export function skipWithoutTools(): string | false {
  if (versionForTools()) return false;
  const reason = "pg_dump is not installed (apt-get install postgresql-client)";
  console.warn(`\n*** NOT TESTED: ${reason} ***\n`);
  return reason;
}

/** Runs one of them; rejects with what it said when it fails. */
export async function runTool(program: "pg_dump" | "pg_restore" | "psql", args: string[]): Promise<void> {
  await promisify(execFile)(program, args);
}
