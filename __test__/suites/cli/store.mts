/** Stores for the suites of the command line. */
import path from "node:path";
import type { TestContext } from "node:test";

import { directory } from "../../support/directory.mts";
import { makeSchema } from "../../support/postgres/schema.mts";
import { query } from "../../support/postgres/server.mts";
import { asOwner } from "../../support/sqlite/layouts.mts";
import { openPersist, type Persist, type SharedStore } from "../../support/storage.mts";

/** A store that a test has for itself. */
export interface TestStore extends SharedStore {
  /** For `--store`. */
  store: string;
  /** Only ever while no driver of this process is open on it. */
  sql(text: string): Promise<void>;
}

/** A new one, which is empty. */
export type NewStore = (t: TestContext) => Promise<TestStore>;

/** Stores that are files. */
export const newFile: NewStore = async (t) => {
  const filename = path.join(directory(t), "store.db");
  return {
    storage: { driver: "SQLite", options: { filename } },
    store: filename,
    sql: async (text) => void asOwner(filename, (database) => database.exec(text)),
  };
};

/** Stores that are schemas of a server's database. */
export function newSchemaOf(url: string): NewStore {
  return async () => {
    const schema = await makeSchema(url);
    return {
      storage: { driver: "Postgres", options: { connectionString: url, schema } },
      store: inSchema(url, schema),
      sql: async (text) => void (await query(url, `SET search_path = ${schema}; ${text}`)),
    };
  };
}

/** What `--store` is for a schema. */
export function inSchema(url: string, schema: string): string {
  return `${url}${url.includes("?") ? "&" : "?"}schema=${schema}`;
}

/** A new store with what `fill` has put there. */
export async function filled(
  t: TestContext,
  newStore: NewStore,
  fill: (driver: Persist) => Promise<void>,
): Promise<TestStore> {
  const made = await newStore(t);
  const driver = openPersist(made.storage);
  await fill(driver);
  await driver.close();
  return made;
}
