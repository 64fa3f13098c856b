/** The Postgres server of the bench, and what the bench does on it itself. */
import { Client } from "pg";

import { startPostgres, type Postgres, type PostgresOptions } from "../__test__/support/postgres/embedded.mts";
import type { ServerEnvironment } from "./delay.mts";
import { eventAt, histories } from "./event.mts";
import { runSide, type Figures } from "./measure.mts";

export const POSTGRES_SIDES = ["ours", "pasted"] as const;
export type PostgresSide = (typeof POSTGRES_SIDES)[number];

/** A server, and the connection over which the bench itself talks to it. */
export interface Bench {
  postgres: Postgres;
  client: Client;
  /** Where the sides find the server. */
  environment: ServerEnvironment;
}

/** Runs `work` with a server that is there for it only. */
export async function withServer<R>(work: (bench: Bench) => Promise<R>, options?: PostgresOptions): Promise<R> {
  const postgres = await startPostgres(options);
  const client = new Client({ connectionString: postgres.url });
  try {
    await client.connect();
    const { host, port, user, password, database } = postgres;
    const environment = {
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: database,
    };
    return await work({ postgres, client, environment });
  } finally {
    await client.end();
    await postgres.cleanup();
  }
}

let schemas = 0;

/** Runs `work` with the name of a schema that is not there yet, and drops what has become of it. */
export async function withSchema<R>({ client }: Bench, work: (schema: string) => Promise<R>): Promise<R> {
  schemas += 1;
  const schema = `bench_${schemas}`;
  // What the last run left to be written back does not slow down this one.
  await client.query("CHECKPOINT");
  try {
    return await work(schema);
  } finally {
    await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
  }
}

/** Runs `work` on a schema whose tables the side itself has made. */
export function withTables<R>(bench: Bench, name: PostgresSide, work: (schema: string) => Promise<R>): Promise<R> {
  return withSchema(bench, async (schema) => {
    await runSide(["postgres", name, "fill", schema, 0], bench.environment);
    await bench.client.query("CHECKPOINT");
    return work(schema);
  });
}

/** A figure counts only if what it counts is there. */
export async function checkStored({ client }: Bench, schema: string, printed: Figures[]): Promise<void> {
  const { rows } = await client.query<{ count: string }>(`SELECT count(*) FROM ${schema}.events`);
  const inserted = printed.reduce((sum, figures) => sum + (figures["events"] ?? Number.NaN), 0);
  if (Number(rows[0]?.count) !== inserted) {
    throw new Error(`${inserted} events were inserted, and ${rows[0]?.count} are stored`);
  }
}

/** Fills a schema with so many sessions of `events` events each, the same for both sides. */
export async function fill({ client }: Bench, schema: string, events: number, sessions = 1): Promise<void> {
  const { createdAt, connectionId, sender, payload } = eventAt("history", 0);
  await client.query(
    `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     SELECT gen_random_uuid(), number, session, $2::bigint + number, $3, $4,
       replace($5, 'chunk 0:', format('chunk %s:', number))::json
     FROM unnest($6::text[]) AS session, generate_series(1, $1::bigint) AS number`,
    [events, createdAt, connectionId, sender, JSON.stringify(payload), histories(sessions)],
  );
  await client.query(`VACUUM (ANALYZE) ${schema}.events`);
  await client.query("CHECKPOINT");
}
