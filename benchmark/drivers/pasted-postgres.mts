/**
 * What users paste into their project today, on Postgres: a pool of `pg` with its defaults, a statement an event,
 * `OFFSET` and `COUNT(*)` per page. Written by us after the tables and reports of the field; it is nobody's code.
 */
import { Pool, type PoolConfig } from "pg";
import type {
  ListEventsRequest,
  ListPage,
  ListPageRequest,
  SessionEvent,
  SessionPersistDriver,
  SessionRecord,
} from "sandbox-agent";

import { next, page } from "./offset.mts";
import { eventRow, recordRow, type EventRow, type RecordRow } from "./rows.mts";

/** Rows as `pg` gives them: BIGINT is text, and JSONB is a value. */
type Row<T> = {
  [Name in keyof T]: Name extends `${string}_json`
    ? any
    : NonNullable<T[Name]> extends number
      ? string | Extract<T[Name], null>
      : T[Name];
};

export class PastedPostgresDriver implements SessionPersistDriver {
  readonly #pool: Pool;
  readonly #schema: string;
  readonly #ready: Promise<void>;

  /** Without a configuration the server is the one that the `PG*` variables name. */
  constructor(schema: string, config?: PoolConfig) {
    this.#pool = new Pool(config);
    this.#schema = schema;
    this.#ready = this.#createTables();
  }

  async #createTables(): Promise<void> {
    await this.#pool.query(`
      CREATE SCHEMA IF NOT EXISTS ${this.#schema};
      CREATE TABLE IF NOT EXISTS ${this.#schema}.sessions (id TEXT PRIMARY KEY, agent TEXT NOT NULL,
        agent_session_id TEXT NOT NULL, last_connection_id TEXT NOT NULL, created_at BIGINT NOT NULL,
        destroyed_at BIGINT, sandbox_id TEXT, session_init_json JSONB, config_options_json JSONB, modes_json JSONB);
      CREATE TABLE IF NOT EXISTS ${this.#schema}.events (id TEXT PRIMARY KEY, event_index BIGINT NOT NULL,
        session_id TEXT NOT NULL, created_at BIGINT NOT NULL, connection_id TEXT NOT NULL, sender TEXT NOT NULL,
        payload_json JSONB NOT NULL);
      CREATE INDEX IF NOT EXISTS idx_events_session_order
        ON ${this.#schema}.events (session_id, event_index, id);`);
  }

  async #query<T>(sql: string, values: unknown[]): Promise<Row<T>[]> {
    await this.#ready;
    return (await this.#pool.query(sql, values)).rows as Row<T>[];
  }

  async getSession(id: string): Promise<SessionRecord | undefined> {
    const [row] = await this.#query<RecordRow>(`SELECT * FROM ${this.#schema}.sessions WHERE id = $1`, [id]);
    return row && recordOf(row);
  }

  async listSessions(request: ListPageRequest = {}): Promise<ListPage<SessionRecord>> {
    const { offset, limit } = page(request);
    const rows = await this.#query<RecordRow>(
      `SELECT * FROM ${this.#schema}.sessions ORDER BY created_at, id LIMIT $1 OFFSET $2`,
      [limit, offset],
    );
    const [counted] = await this.#query<{ count: number }>(
      `SELECT COUNT(*) AS count FROM ${this.#schema}.sessions`,
      [],
    );
    return { items: rows.map(recordOf), nextCursor: next(offset + rows.length, Number(counted?.count)) };
  }

  async updateSession(session: SessionRecord): Promise<void> {
    await this.#query(
      `INSERT INTO ${this.#schema}.sessions VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
       ON CONFLICT (id) DO UPDATE SET agent = EXCLUDED.agent, agent_session_id = EXCLUDED.agent_session_id,
       last_connection_id = EXCLUDED.last_connection_id, created_at = EXCLUDED.created_at,
       destroyed_at = EXCLUDED.destroyed_at, sandbox_id = EXCLUDED.sandbox_id,
       session_init_json = EXCLUDED.session_init_json, config_options_json = EXCLUDED.config_options_json,
       modes_json = EXCLUDED.modes_json`,
      recordRow(session),
    );
  }

  async listEvents(request: ListEventsRequest): Promise<ListPage<SessionEvent>> {
    const { offset, limit } = page(request);
    const rows = await this.#query<EventRow>(
      `SELECT * FROM ${this.#schema}.events WHERE session_id = $1 ORDER BY event_index, id LIMIT $2 OFFSET $3`,
      [request.sessionId, limit, offset],
    );
    const [counted] = await this.#query<{ count: number }>(
      `SELECT COUNT(*) AS count FROM ${this.#schema}.events WHERE session_id = $1`,
      [request.sessionId],
    );
    return { items: rows.map(eventOf), nextCursor: next(offset + rows.length, Number(counted?.count)) };
  }

  async insertEvent(_sessionId: string, event: SessionEvent): Promise<void> {
    await this.#query(
      `INSERT INTO ${this.#schema}.events VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (id) DO UPDATE SET event_index = EXCLUDED.event_index, payload_json = EXCLUDED.payload_json`,
      eventRow(event),
    );
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }
}

function recordOf(row: Row<RecordRow>): SessionRecord {
  return {
    id: row.id,
    agent: row.agent,
    agentSessionId: row.agent_session_id,
    lastConnectionId: row.last_connection_id,
    createdAt: Number(row.created_at),
    destroyedAt: row.destroyed_at === null ? undefined : Number(row.destroyed_at),
    sandboxId: row.sandbox_id ?? undefined,
    sessionInit: row.session_init_json ?? undefined,
    configOptions: row.config_options_json ?? undefined,
    modes: row.modes_json ?? undefined,
  };
}

function eventOf(row: Row<EventRow>): SessionEvent {
  return {
    id: row.id,
    eventIndex: Number(row.event_index),
    sessionId: row.session_id,
    createdAt: Number(row.created_at),
    connectionId: row.connection_id,
    sender: row.sender,
    payload: row.payload_json,
  };
}
