/** Files to back up, and looks at what they have become. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";

import Database from "better-sqlite3";

import type { SQLiteSessionPersistDriver } from "../../../index.js";
import { largeEventAt } from "../records.mts";
import { open } from "./refusals.mts";

/** A driver on a file of so many MiB: a step of a backup copies one. */
export async function filled(t: TestContext, folder: string, mebibytes: number): Promise<SQLiteSessionPersistDriver> {
  const driver = open(t, join(folder, "sessions.db"));
  const events = Array.from({ length: 2 * mebibytes }, (_, number) => largeEventAt("large", number + 1, 512 << 10));
  await Promise.all(events.map((event) => driver.insertEvent("large", event)));
  return driver;
}

/** The file is a sound database, which needs no other file beside it. Only ever while no driver is open on it. */
export function checkSound(path: string): void {
  const database = new Database(path, { readonly: true });
  try {
    assert.deepEqual(database.pragma("integrity_check"), [{ integrity_check: "ok" }]);
    assert.deepEqual(database.pragma("journal_mode"), [{ journal_mode: "delete" }]);
  } finally {
    database.close();
  }
}

/** The names of backups in the folder that are not whole. */
export function partials(folder: string): string[] {
  return readdirSync(folder).filter((name) => /\.[0-9a-f]{16}\.partial$/.test(name));
}
