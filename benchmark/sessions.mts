/** Finding, forking and deleting sessions in large stores. `run.mts` runs it. */
import Database from "better-sqlite3";

import { withFile } from "./file.mts";
import { alternate, median, runSide, type Figures } from "./measure.mts";
import { fill, withSchema, withServer, type Bench } from "./postgres-server.mts";
import { say, spread, table, wanted } from "./report.mts";

const SESSIONS = 1_000_000;
/** Each of so many users has 100 sessions, each of two tenants half of all. */
const USERS = 10_000;
const EVENTS = 1_000_000;

type Run = (name: string, ...rest: (string | number)[]) => Promise<Figures>;

/** A store that is full when the work begins. */
interface Store {
  label: string;
  withSessions(work: (run: Run) => Promise<void>): Promise<void>;
  withHistory(events: number, work: (run: Run) => Promise<void>): Promise<void>;
}

const SQLITE: Store = {
  label: "SQLite",
  withSessions: (work) =>
    withFile(async (file) => {
      const run: Run = (name, ...rest) => runSide(["sqlite", "ours", name, file, ...rest]);
      // Makes the tables.
      await run("fill", 0, "normal");
      const database = new Database(file);
      database.exec(`
        BEGIN;
        CREATE TEMP TABLE numbers AS
          WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT ${SESSIONS})
          SELECT number, lower(hex(randomblob(16))) AS id FROM numbers;
        INSERT INTO sessions (id, agent, agent_session_id, last_connection_id, created_at)
          SELECT id, 'mock', 'agent-session-17', 'none', number FROM numbers;
        INSERT INTO session_labels SELECT id, 'user', 'user-' || (number % ${USERS}) FROM numbers;
        INSERT INTO session_labels SELECT id, 'tenant', 'tenant-' || (number % 2) FROM numbers;
        COMMIT`);
      database.close();
      await work(run);
    }),
  withHistory: (events, work) =>
    withFile(async (file) => {
      const run: Run = (name, ...rest) => runSide(["sqlite", "ours", name, file, ...rest]);
      await run("fill", events, "normal");
      await work(run);
    }),
};

function postgres(bench: Bench): Store {
  const withTables = (work: (schema: string, run: Run) => Promise<void>) =>
    withSchema(bench, async (schema) => {
      const run: Run = (name, ...rest) => runSide(["postgres", "ours", name, schema, ...rest], bench.environment);
      await run("fill", 0);
      await work(schema, run);
    });
  return {
    label: "Postgres",
    withSessions: (work) =>
      withTables(async (schema, run) => {
        await bench.client.query(`
          CREATE TEMP TABLE numbers AS
            SELECT number, gen_random_uuid()::text AS id FROM generate_series(1, ${SESSIONS}) AS number;
          INSERT INTO ${schema}.sessions (id, agent, agent_session_id, last_connection_id, created_at)
            SELECT id, 'mock', 'agent-session-17', 'none', number FROM numbers;
          INSERT INTO ${schema}.session_labels SELECT id, 'user', 'user-' || (number % ${USERS}) FROM numbers;
          INSERT INTO ${schema}.session_labels SELECT id, 'tenant', 'tenant-' || (number % 2) FROM numbers;
          DROP TABLE numbers`);
        await bench.client.query(`VACUUM (ANALYZE) ${schema}.sessions, ${schema}.session_labels`);
        await work(run);
      }),
    withHistory: (events, work) =>
      withTables(async (schema, run) => {
        await fill(bench, schema, events);
        await work(run);
      }),
  };
}

/** What a page may take, in ms. */
const PAGE = 5;

function page(label: string, what: string, figures: Figures[]): string[] {
  const target = wanted(median(figures, "median") < PAGE, `under ${PAGE}`);
  return [label, what, `${spread(figures, "median", 2)} (${target})`, spread(figures, "p99", 2)];
}

async function pages(stores: Store[]): Promise<void> {
  const rows: string[][] = [];
  for (const { label, withSessions, withHistory } of stores) {
    const sessions = SESSIONS.toLocaleString("en-US");
    await withSessions(async (run) => {
      const all = await alternate(["user", "tenant"] as const, (name) =>
        run("list-by-label", name, name === "user" ? USERS : 2),
      );
      rows.push(page(label, `a user's 100 of ${sessions} sessions, by label`, all.user));
      rows.push(page(label, `a tenant's half of ${sessions} sessions, by label`, all.tenant));
    });
    await withHistory(EVENTS, async (run) => {
      const { newest } = await alternate(["newest"] as const, () => run("list-newest"));
      rows.push(page(label, `events of a session of ${EVENTS.toLocaleString("en-US")}`, newest));
    });
  }
  say("### The newest 50, in ms");
  say("");
  table(["store", "", "median", "p99"], rows);
}

async function forkAndDelete(stores: Store[]): Promise<void> {
  const rows: string[][] = [];
  for (const { label, withHistory } of stores) {
    let figures: Figures[] = [];
    await withHistory(100_000, async (run) => {
      figures = (await alternate(["fork"] as const, (name) => run(`${name}-and-delete`))).fork;
    });
    const met = label !== "SQLite" || median(figures, "fork") < 1000;
    const target = label === "SQLite" ? ` (${wanted(met, "under 1,000")})` : "";
    rows.push(
      [label, "fork", `${spread(figures, "fork")}${target}`, spread(figures, "forkWait")],
      [label, "delete", spread(figures, "delete"), spread(figures, "deleteWait")],
    );
  }
  say("### Forking and deleting a session of 100,000 events, in ms");
  say("");
  say("Beside it another session writes, each write awaiting the one before.");
  say("");
  table(["store", "", "takes", "the longest that a write to the other session waits"], rows);
}

/** Runs all of it. */
export function benchSessions(): Promise<void> {
  return withServer(async (bench) => {
    const stores = [SQLITE, postgres(bench)];
    say("## Finding, forking and deleting sessions");
    say("");
    await pages(stores);
    await forkAndDelete(stores);
  });
}
