/** The SQLite that newer releases of Node have themselves, for the driver of `benchmark/drivers/pasted.mts`. */
import type { SyncDatabase } from "../../../benchmark/drivers/pasted.mts";

/** The name is put together, since the types of the oldest Node do not know it. */
const NAME = ["node", "sqlite"].join(":");

const sqlite: { DatabaseSync: new (filename: string) => SyncDatabase } | undefined = await load();

async function load() {
  try {
    return await import(NAME);
  } catch {
    return undefined;
  }
}

/** For a test's option `skip`. */
export const skipWithoutNodeSqlite: string | false = sqlite
  ? false
  : `Node ${process.versions.node} has no node:sqlite`;

export function openNodeSqlite(filename: string): SyncDatabase {
  if (!sqlite) throw new Error(String(skipWithoutNodeSqlite));
  return new sqlite.DatabaseSync(filename);
}
