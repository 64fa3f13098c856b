/** The programs that come with the databases, as whoever loads the same rows with them uses them. */
import Database from "better-sqlite3";

import { runCommand, runProgram, versionOf } from "./command.mts";
import { urlOf } from "./filled.mts";
import type { Figures } from "./measure.mts";
import { checkStored, type Bench } from "./postgres-server.mts";

/** The rows of the tables, as CSV. */
export interface Rows {
  sessions: string;
  events: string;
  /** How many of these there are. */
  count: number;
}

/** The versions of those that are on this machine. */
export const programs = { sqlite3: versionOf("sqlite3"), psql: versionOf("psql") };

/** Loads rows into the tables of a new file by `.import`, in one transaction: events a second. */
export async function importBySqlite3(file: string, { sessions, events, count }: Rows): Promise<Figures> {
  await runCommand(["migrate", "--store", file, "--yes"]);
  const script = `BEGIN;\n.import --csv "${sessions}" sessions\n.import --csv "${events}" events\nCOMMIT;\n`;
  // Of its own accord it goes on after an error. The file is in WAL mode, and FULL is what this package uses.
  const words = ["-bail", "-cmd", "PRAGMA synchronous = FULL", file];
  const { milliseconds } = await runProgram("sqlite3", words, {}, script);
  const database = new Database(file, { readonly: true });
  const stored = database.prepare("SELECT count(*) FROM events").pluck().get();
  database.close();
  if (stored !== count) throw new Error(`sqlite3 imported ${String(stored)} events of ${count}`);
  return { perSecond: (count / milliseconds) * 1000 };
}

/** Loads rows into the tables of a new schema by `\copy`, in one transaction: events a second. */
export async function copyByPsql(bench: Bench, schema: string, { sessions, events, count }: Rows): Promise<Figures> {
  await runCommand(["migrate", "--store", urlOf(schema), "--yes"], bench.environment);
  const copy = (table: string, file: string) => `\\copy ${schema}.${table} FROM '${file}' CSV`;
  const words = ["--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1"];
  const commands = ["--command", copy("sessions", sessions), "--command", copy("events", events)];
  const { milliseconds } = await runProgram("psql", [...words, ...commands], bench.environment);
  await checkStored(bench, schema, [{ events: count }]);
  return { perSecond: (count / milliseconds) * 1000 };
}
