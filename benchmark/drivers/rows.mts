/** The tables of the field's 0.4 layout, and their rows, for the baselines. */
import type { SessionEvent, SessionRecord } from "sandbox-agent";

export const TABLES = `
  CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, agent TEXT NOT NULL, agent_session_id TEXT NOT NULL,
    last_connection_id TEXT NOT NULL, created_at INTEGER NOT NULL, destroyed_at INTEGER, sandbox_id TEXT,
    session_init_json TEXT, config_options_json TEXT, modes_json TEXT);
  CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, event_index INTEGER NOT NULL, session_id TEXT NOT NULL,
    created_at INTEGER NOT NULL, connection_id TEXT NOT NULL, sender TEXT NOT NULL, payload_json TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS idx_events_session_order ON events (session_id, event_index, id);`;

export interface RecordRow {
  id: string;
  agent: string;
  agent_session_id: string;
  last_connection_id: string;
  created_at: number;
  destroyed_at: number | null;
  sandbox_id: string | null;
  session_init_json: string | null;
  config_options_json: string | null;
  modes_json: string | null;
}

export interface EventRow {
  id: string;
  event_index: number;
  session_id: string;
  created_at: number;
  connection_id: string;
  sender: "client" | "agent";
  payload_json: string;
}

export function recordRow(record: SessionRecord): unknown[] {
  const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value));
  return [
    record.id,
    record.agent,
    record.agentSessionId,
    record.lastConnectionId,
    record.createdAt,
    record.destroyedAt ?? null,
    record.sandboxId ?? null,
    json(record.sessionInit),
    json(record.configOptions),
    json(record.modes),
  ];
}

export function recordOf(row: RecordRow): SessionRecord {
  const value = (json: string | null) => (json === null ? undefined : JSON.parse(json));
  return {
    id: row.id,
    agent: row.agent,
    agentSessionId: row.agent_session_id,
    lastConnectionId: row.last_connection_id,
    createdAt: row.created_at,
    destroyedAt: row.destroyed_at ?? undefined,
    sandboxId: row.sandbox_id ?? undefined,
    sessionInit: value(row.session_init_json),
    configOptions: value(row.config_options_json),
    modes: value(row.modes_json),
  };
}

export function eventRow(event: SessionEvent): unknown[] {
  return [
    event.id,
    event.eventIndex,
    event.sessionId,
    event.createdAt,
    event.connectionId,
    event.sender,
    JSON.stringify(event.payload),
  ];
}

export function eventOf(row: EventRow): SessionEvent {
  return {
    id: row.id,
    eventIndex: row.event_index,
    sessionId: row.session_id,
    createdAt: row.created_at,
    connectionId: row.connection_id,
    sender: row.sender,
    payload: JSON.parse(row.payload_json),
  };
}
