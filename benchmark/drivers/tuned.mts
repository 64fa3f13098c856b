/**
 * The best that a good engineer gets out of better-sqlite3 at the same durability: write-ahead logging, statements
 * prepared once, keyset paging, on the field's tables.
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

import { eventOf, eventRow, recordOf, recordRow, TABLES, type EventRow, type RecordRow } from "./rows.mts";

export class TunedDriver implements SessionPersistDriver {
  readonly #database: Database.Database;
  readonly #getSession: Database.Statement;
  readonly #listSessions: Database.Statement;
  readonly #updateSession: Database.Statement;
  readonly #listEvents: Database.Statement;
  readonly #insertEvent: Database.Statement;

  constructor(filename: string, durability: "full" | "normal") {
    const database = new Database(filename);
    database.pragma("journal_mode = WAL");
    database.pragma(`synchronous = ${durability}`);
    database.exec(TABLES);
    this.#database = database;
    this.#getSession = database.prepare("SELECT * FROM sessions WHERE id = ?");
    this.#listSessions = database.prepare(
      "SELECT * FROM sessions WHERE (created_at, id) > (?, ?) ORDER BY created_at, id LIMIT ?",
    );
    this.#updateSession = database.prepare(
      `INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET agent = excluded.agent, agent_session_id = excluded.agent_session_id,
       last_connection_id = excluded.last_connection_id, created_at = excluded.created_at,
       destroyed_at = excluded.destroyed_at, sandbox_id = excluded.sandbox_id,
       session_init_json = excluded.session_init_json, config_options_json = excluded.config_options_json,
       modes_json = excluded.modes_json`,
    );
    this.#listEvents = database.prepare(
      "SELECT * FROM events WHERE session_id = ? AND (event_index, id) > (?, ?) ORDER BY event_index, id LIMIT ?",
    );
    this.#insertEvent = database.prepare(
      `INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET event_index = excluded.event_index, payload_json = excluded.payload_json`,
    );
  }

  async getSession(id: string): Promise<SessionRecord | undefined> {
    const row = this.#getSession.get(id);
    return row ? recordOf(row as RecordRow) : undefined;
  }

  async listSessions(request: ListPageRequest = {}): Promise<ListPage<SessionRecord>> {
    const limit = request.limit ?? 100;
    const [createdAt, id] = request.cursor ? JSON.parse(request.cursor) : [-1, ""];
    const rows = this.#listSessions.all(createdAt, id, limit + 1) as RecordRow[];
    const items = rows.slice(0, limit).map(recordOf);
    const last = items.at(-1);
    return { items, nextCursor: rows.length > limit && last ? JSON.stringify([last.createdAt, last.id]) : undefined };
  }

  async updateSession(session: SessionRecord): Promise<void> {
    this.#updateSession.run(recordRow(session));
  }

  async listEvents(request: ListEventsRequest): Promise<ListPage<SessionEvent>> {
    const limit = request.limit ?? 100;
    const [eventIndex, id] = request.cursor ? JSON.parse(request.cursor) : [-1, ""];
    const rows = this.#listEvents.all(request.sessionId, eventIndex, id, limit + 1) as EventRow[];
    const items = rows.slice(0, limit).map(eventOf);
    const last = items.at(-1);
    return { items, nextCursor: rows.length > limit && last ? JSON.stringify([last.eventIndex, last.id]) : undefined };
  }

  async insertEvent(_sessionId: string, event: SessionEvent): Promise<void> {
    this.#insertEvent.run(eventRow(event));
  }

  async close(): Promise<void> {
    this.#database.close();
  }
}
