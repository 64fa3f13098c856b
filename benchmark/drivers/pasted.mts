/**
 * What users paste into their project today: better-sqlite3 as it comes, a statement prepared per call, `OFFSET` and
 * `COUNT(*)` per page. Written by us after the tables and reports of the field; it is nobody's code.
 */
import Database from "better-sqlite3";
import type {
  ListEventsRequest,
  ListPage,
  ListPageRequest,
  SessionEvent,
  SessionPersistDriver,
  SessionRecord,
} from "sandbox-agent";

import { next, page } from "./offset.mts";
import { eventOf, eventRow, recordOf, recordRow, TABLES, type EventRow, type RecordRow } from "./rows.mts";

/** What better-sqlite3 and node:sqlite have in common. */
export interface SyncDatabase {
  exec(sql: string): void;
  prepare(sql: string): {
    run(...values: unknown[]): unknown;
    get(...values: unknown[]): unknown;
    all(...values: unknown[]): unknown[];
  };
  close(): void;
}

export class PastedDriver implements SessionPersistDriver {
  readonly #database: SyncDatabase;

  /** A driver on a file, with better-sqlite3; or on a database that is open, with another library. */
  constructor(database: string | SyncDatabase) {
    this.#database = typeof database === "string" ? (new Database(database) as SyncDatabase) : database;
    this.#database.exec(TABLES);
  }

  async getSession(id: string): Promise<SessionRecord | undefined> {
    const row = this.#database.prepare("SELECT * FROM sessions WHERE id = ?").get(id);
    return row ? recordOf(row as RecordRow) : undefined;
  }

  async listSessions(request: ListPageRequest = {}): Promise<ListPage<SessionRecord>> {
    const { offset, limit } = page(request);
    const rows = this.#database
      .prepare("SELECT * FROM sessions ORDER BY created_at, id LIMIT ? OFFSET ?")
      .all(limit, offset) as RecordRow[];
    const { count } = this.#database.prepare("SELECT COUNT(*) AS count FROM sessions").get() as { count: number };
    return { items: rows.map(recordOf), nextCursor: next(offset + rows.length, count) };
  }

  async updateSession(session: SessionRecord): Promise<void> {
    this.#database
      .prepare(
        `INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET agent = excluded.agent, agent_session_id = excluded.agent_session_id,
         last_connection_id = excluded.last_connection_id, created_at = excluded.created_at,
         destroyed_at = excluded.destroyed_at, sandbox_id = excluded.sandbox_id,
         session_init_json = excluded.session_init_json, config_options_json = excluded.config_options_json,
         modes_json = excluded.modes_json`,
      )
      .run(...recordRow(session));
  }

  async listEvents(request: ListEventsRequest): Promise<ListPage<SessionEvent>> {
    const { offset, limit } = page(request);
    const rows = this.#database
      .prepare("SELECT * FROM events WHERE session_id = ? ORDER BY event_index, id LIMIT ? OFFSET ?")
      .all(request.sessionId, limit, offset) as EventRow[];
    const { count } = this.#database
      .prepare("SELECT COUNT(*) AS count FROM events WHERE session_id = ?")
      .get(request.sessionId) as { count: number };
    return { items: rows.map(eventOf), nextCursor: next(offset + rows.length, count) };
  }

  async insertEvent(_sessionId: string, event: SessionEvent): Promise<void> {
    this.#database
      .prepare(
        `INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET event_index = excluded.event_index, payload_json = excluded.payload_json`,
      )
      .run(...eventRow(event));
  }

  async close(): Promise<void> {
    this.#database.close();
  }
}
