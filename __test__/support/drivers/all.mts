/** The drivers that people have who come from elsewhere, each as a test opens it. None of them is ours. */
import { join } from "node:path";
import type { TestContext } from "node:test";

import Database from "better-sqlite3";
import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { InMemorySessionPersistDriver, type SessionPersistDriver } from "sandbox-agent";

import { PastedPostgresDriver } from "../../../benchmark/drivers/pasted-postgres.mts";
import { PastedDriver, type SyncDatabase } from "../../../benchmark/drivers/pasted.mts";
import { directory } from "../directory.mts";
import { IndexedDBDriver } from "./indexeddb.mts";
import { openNodeSqlite, skipWithoutNodeSqlite } from "./node-sqlite.mts";
import { openActor } from "./rivet.mts";

export interface OtherDriver {
  name: string;
  /** Why it cannot be had here, for a test's option. */
  skip: string | false;
  /** An empty one, which is gone after the test. */
  open(t: TestContext): SessionPersistDriver;
}

/** Users have it wait for the disk at each event. */
function unsynced(database: SyncDatabase): SyncDatabase {
  database.exec("PRAGMA synchronous = OFF");
  return database;
}

let made = 0;

/** A name that nothing else of this process has. */
const ownName = () => `driver_${process.pid}_${(made += 1)}`;

/** The drivers. That on `pg` is there with the URL of a server. */
export function otherDrivers(serverUrl?: string): OtherDriver[] {
  const closedAfter = <Driver extends SessionPersistDriver & { close(): Promise<void> }>(
    t: TestContext,
    driver: Driver,
  ) => {
    t.after(() => driver.close());
    return driver;
  };
  return [
    { name: "the SDK's in memory", skip: false, open: () => new InMemorySessionPersistDriver() },
    {
      name: "better-sqlite3",
      skip: false,
      open: (t) =>
        closedAfter(t, new PastedDriver(unsynced(new Database(join(directory(t), "better.db")) as SyncDatabase))),
    },
    {
      name: "node:sqlite",
      skip: skipWithoutNodeSqlite,
      open: (t) => closedAfter(t, new PastedDriver(unsynced(openNodeSqlite(join(directory(t), "node.db"))))),
    },
    {
      name: "pg",
      skip: serverUrl ? false : "there is no server here",
      open: (t) => closedAfter(t, new PastedPostgresDriver(ownName(), { connectionString: serverUrl })),
    },
    {
      name: "IndexedDB (fake-indexeddb)",
      skip: false,
      open: (t) => {
        globalThis.IDBKeyRange = IDBKeyRange as unknown as typeof globalThis.IDBKeyRange;
        return closedAfter(t, new IndexedDBDriver({ factory: new IDBFactory() }));
      },
    },
    { name: "a Rivet actor", skip: false, open: () => openActor(ownName()) },
  ];
}
