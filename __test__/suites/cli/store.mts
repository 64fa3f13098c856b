/** Stores for the suites of the command line. */
import type { TestContext } from "node:test";

import { openPersist, type Persist, type Storage } from "../../support/storage.mts";

/** A store that a test has for itself. */
export interface TestStore {
  /** For drivers. */
  storage: Storage;
  /** For `--store`. */
  store: string;
  /** Runs SQL that is not ours in it, while no driver of this process is open on it. */
  sql(text: string): Promise<void>;
}

/** A new one, which is empty. */
export type NewStore = (t: TestContext) => Promise<TestStore>;

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
