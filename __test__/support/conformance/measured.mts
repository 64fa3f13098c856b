/** What the drivers that people use pass of the suite of conformance, as the table of docs/conformance.md says it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import Database from "better-sqlite3";
import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { InMemorySessionPersistDriver, type SessionPersistDriver } from "sandbox-agent";

import { PastedPostgresDriver } from "../../../benchmark/drivers/pasted-postgres.mts";
import { PastedDriver, type SyncDatabase } from "../../../benchmark/drivers/pasted.mts";
import { TunedDriver } from "../../../benchmark/drivers/tuned.mts";
import type { OpenDriver, OptionalGroup } from "../../../conformance.js";
import { JsonLinesDriver } from "../../../examples/conformance/driver.mts";
import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../../../index.js";
import { IndexedDBDriver } from "../drivers/indexeddb.mts";
import { openNodeSqlite, skipWithoutNodeSqlite } from "../drivers/node-sqlite.mts";
import { openActor } from "../drivers/rivet.mts";
import { startServer } from "../postgres/server.mts";
import { casesOf, outcomesOf, type Outcome } from "./outcomes.mts";

interface Measured {
  name: string;
  /** Why it cannot be had here. */
  skip?: string | false;
  /** What does not say anything about it, in the way in which it is opened here. */
  without?: OptionalGroup;
  /** How a case begins whose outcome is a matter of chance: it is tried until it fails, ten times at most. */
  race?: string;
  open: OpenDriver;
}

/** The groups that every driver is held to are one column. */
const REQUIRED = ["sessions", "events", "pages", "values"];
const COLUMNS = [
  "required",
  "durable",
  "several writers",
  "exact JSON",
  "cursors under writes",
  "retries",
  "deep copies",
  "unknown fields",
  "large values",
];
const columnOf = (group: string) => (REQUIRED.includes(group) ? "required" : group);

/** The drivers, on files in a directory and on a server. */
function drivers(directory: string, serverUrl: string): Measured[] {
  const file = (store: string) => join(directory, store);
  // What they lose when the power fails is not looked at here, and waiting for the disk would take minutes.
  const unsynced = (database: SyncDatabase) => {
    database.exec("PRAGMA synchronous = OFF");
    return new PastedDriver(database);
  };
  const databases = new IDBFactory();
  const actors = new Map<string, SessionPersistDriver>();
  return [
    { name: "The SDK's `InMemorySessionPersistDriver`", open: () => new InMemorySessionPersistDriver() },
    {
      name: "IndexedDB, by `fake-indexeddb`",
      open: (store) => {
        globalThis.IDBKeyRange = IDBKeyRange as unknown as typeof globalThis.IDBKeyRange;
        return new IndexedDBDriver({ name: store, factory: databases });
      },
    },
    {
      name: "State of a Rivet actor",
      // Its storage here is memory, and one actor serves all that open it.
      without: "durable",
      open: (store) => {
        if (!actors.has(store)) actors.set(store, openActor(store));
        // Whatever it is asked for, a client's handle calls an action of that name.
        const actor = actors.get(store)!;
        return {
          driver: {
            getSession: (id) => actor.getSession(id),
            listSessions: (request) => actor.listSessions(request),
            updateSession: (session) => actor.updateSession(session),
            listEvents: (request) => actor.listEvents(request),
            insertEvent: (id, event) => actor.insertEvent(id, event),
          },
        };
      },
    },
    {
      name: "Pasted, on `better-sqlite3`",
      open: (store) => unsynced(new Database(file(store)) as SyncDatabase),
    },
    {
      name: "Pasted, on `node:sqlite`",
      skip: skipWithoutNodeSqlite,
      open: (store) => unsynced(openNodeSqlite(file(store))),
    },
    { name: "Tuned, on `better-sqlite3`", open: (store) => new TunedDriver(file(store), "normal") },
    {
      name: "Pasted, on `pg`",
      race: "drivers that are opened at once",
      open: (store) => new PastedPostgresDriver(store, { connectionString: serverUrl }),
    },
    { name: "[The example](#an-example), JSON Lines", open: (store) => new JsonLinesDriver(file(store)) },
    {
      name: "`SQLiteSessionPersistDriver`",
      open: (store) => new SQLiteSessionPersistDriver({ filename: file(store) }),
    },
    {
      name: "`PostgresSessionPersistDriver`",
      open: (store) => new PostgresSessionPersistDriver({ connectionString: serverUrl, schema: store }),
    },
  ];
}

export interface Row {
  /** The driver's row of the table. */
  cells: string;
  /** What it fails, as an entry of the list below the table; nothing if it passes all. */
  failures: string | undefined;
}

/** The rows of all drivers, or of those whose name holds one of `words`. What is not measured, or cannot be had here, is `undefined`. */
export async function measure(words: string[] = [""]): Promise<Map<string, Row | undefined>> {
  const directory = mkdtempSync(join(tmpdir(), "conformance-"));
  const server = await startServer();
  try {
    const rows = new Map<string, Row | undefined>();
    for (const { name, skip, without, race, open } of drivers(directory, await server.createDatabase())) {
      const cases = casesOf(open).filter(({ group }) => group !== without);
      for (const each of cases) if (race && each.promise.startsWith(race)) each.run = tenTimes(each.run);
      const wanted = !skip && words.some((word) => name.includes(word));
      rows.set(name, wanted ? rowOf(name, await outcomesOf(cases)) : undefined);
    }
    return rows;
  } finally {
    await server.cleanup();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Passes if it does so each time. */
function tenTimes(run: () => Promise<void>): () => Promise<void> {
  return async () => {
    for (let tried = 0; tried < 10; tried++) await run();
  };
}

export const HEAD = [`| driver | ${COLUMNS.join(" | ")} |`, `| --- | ${COLUMNS.map(() => "---").join(" | ")} |`];

function rowOf(name: string, outcomes: Outcome[]): Row {
  const cells = COLUMNS.map((column) => {
    const all = outcomes.filter(({ group }) => columnOf(group) === column);
    const passed = all.filter(({ error }) => !error).length;
    if (all.length === 0) return "–";
    return passed === all.length ? "✓" : `${passed} of ${all.length}`;
  });
  const failed = outcomes.filter(({ error }) => error).map(({ promise }) => `  - ${promise.replaceAll("_", "\\_")}`);
  return {
    cells: `| ${[name, ...cells].join(" | ")} |`,
    failures: failed.length > 0 ? [`- ${name}:`, ...failed].join("\n") : undefined,
  };
}
