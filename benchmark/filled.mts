/** Stores with many sessions, filled by SQL: by the command line they would take longer than what is measured on them. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";

import Database from "better-sqlite3";

import { runCommand } from "./command.mts";
import { eventAt } from "./event.mts";
import type { Bench } from "./postgres-server.mts";

/** How much a store has. */
export interface Size {
  sessions: number;
  /** In each session. */
  events: number;
  /** Of each event's text. */
  text?: string;
}

/** Where the tables of a schema are, for whoever has the server's `PG*` variables. */
export function urlOf(schema: string): string {
  return `postgres:///?schema=${schema}`;
}

/** The id of the session with this number, from 1. */
export function sessionAt(number: number): string {
  return `session-${String(number).padStart(6, "0")}`;
}

const CREATED_AT = 1_767_225_600_000;
const SESSION = ["mock", "agent-session-17", "0d4cf2ad-7a25-4bf5-a2d6-2e6a9e9d3c11", '{"cwd":"/","mcpServers":[]}'];

/** An event's payload up to its number, and after it. */
function payloadAround(text?: string): [string, string] {
  const { payload } = eventAt("", 0);
  const [before = "", after = ""] = JSON.stringify(payload).split("chunk 0:");
  return [`${before}${text ?? ""}chunk `, `:${after}`];
}

/** Makes a file with so much. */
export async function fillFile(file: string, { sessions, events, text }: Size): Promise<void> {
  await runCommand(["migrate", "--store", file, "--yes"]);
  const database = new Database(file);
  // It can be made again.
  database.pragma("synchronous = OFF");
  const { connectionId, sender } = eventAt("", 0);
  database.exec("BEGIN");
  const addSession = database.prepare(
    `INSERT INTO sessions (id, created_at, agent, agent_session_id, last_connection_id, session_init_json)
     VALUES (?, ?, ?, ?, ?, ?)`,
  );
  const addEvents = database.prepare(
    `WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?)
     INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     SELECT lower(format('%s-%s-%s-%s-%s', hex(randomblob(4)), hex(randomblob(2)), hex(randomblob(2)), hex(randomblob(2)),
       hex(randomblob(6)))), number, ?, ? + number, ?, ?, ? || number || ? FROM numbers`,
  );
  for (let number = 1; number <= sessions; number += 1) {
    const id = sessionAt(number);
    addSession.run(id, CREATED_AT + number, ...SESSION);
    addEvents.run(events, id, CREATED_AT + number, connectionId, sender, ...payloadAround(text));
  }
  database.exec("COMMIT");
  database.pragma("wal_checkpoint(TRUNCATE)");
  database.close();
}

/** Makes tables with so much in a schema. */
export async function fillSchema(bench: Bench, schema: string, { sessions, events, text }: Size): Promise<void> {
  const { client, environment } = bench;
  await runCommand(["migrate", "--store", urlOf(schema), "--yes"], environment);
  const { connectionId, sender } = eventAt("", 0);
  const id = "'session-' || lpad(session::text, 6, '0')";
  await client.query(
    `INSERT INTO ${schema}.sessions (id, created_at, agent, agent_session_id, last_connection_id, session_init_json)
     SELECT ${id}, $2::bigint + session, $3, $4, $5, $6::json FROM generate_series(1, $1::bigint) AS session`,
    [sessions, CREATED_AT, ...SESSION],
  );
  const indexes = await client.query<{ name: string; definition: string }>(
    `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
     FROM pg_index WHERE indrelid = '${schema}.events'::regclass`,
  );
  // Of a table that is emptied in the same transaction nothing need be logged, where the server has wal_level = minimal;
  // and an index of rows that are there is made more quickly than one that grows with them.
  await client.query("BEGIN");
  for (const { name } of indexes.rows) await client.query(`DROP INDEX ${name}`);
  await client.query(`TRUNCATE ${schema}.events`);
  await client.query(
    `INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
     SELECT md5(session || ' ' || number)::uuid, number, ${id}, $3::bigint + session + number, $4, $5, ($6::text || number || $7::text)::json
     FROM generate_series(1, $1::bigint) AS session, generate_series(1, $2::bigint) AS number`,
    [sessions, events, CREATED_AT, connectionId, sender, ...payloadAround(text)],
  );
  for (const { definition } of indexes.rows) await client.query(definition);
  await client.query("COMMIT");
  await client.query(`VACUUM (ANALYZE) ${schema}.sessions, ${schema}.events`);
  await client.query("CHECKPOINT");
}

/** Writes a table of a file as CSV, in the order of its columns: what other programs read. */
export async function writeCsv(file: string, table: string, target: string): Promise<void> {
  const database = new Database(file, { readonly: true });
  const stream = createWriteStream(target);
  const cell = (value: unknown) =>
    value === null ? "" : typeof value === "string" ? `"${value.replaceAll('"', '""')}"` : String(value);
  let lines = "";
  for (const row of database.prepare(`SELECT * FROM ${table} ORDER BY rowid`).raw().iterate()) {
    lines += `${(row as unknown[]).map(cell).join(",")}\n`;
    if (lines.length > 1 << 20) {
      if (!stream.write(lines)) await once(stream, "drain");
      lines = "";
    }
  }
  stream.end(lines);
  await once(stream, "close");
  database.close();
}
