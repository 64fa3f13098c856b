/** The tables that users' hand-copied Postgres drivers create, as docs/sdk-contract.md names them, and those drivers' SQL. */

export const SESSIONS_0_2 = `id TEXT PRIMARY KEY, agent TEXT NOT NULL, agent_session_id TEXT NOT NULL,
  last_connection_id TEXT NOT NULL, created_at BIGINT NOT NULL, destroyed_at BIGINT, session_init_json JSONB`;
export const SESSIONS_0_4 = `${SESSIONS_0_2}, sandbox_id TEXT, config_options_json JSONB, modes_json JSONB`;
export const EVENTS = `id TEXT PRIMARY KEY, event_index BIGINT NOT NULL, session_id TEXT NOT NULL,
  created_at BIGINT NOT NULL, connection_id TEXT NOT NULL, sender TEXT NOT NULL, payload_json JSONB NOT NULL`;
export const ORDER_INDEX = "CREATE INDEX idx_events_session_order ON events (session_id, event_index, id)";

export const LAYOUT_0_2 = `CREATE TABLE sessions (${SESSIONS_0_2}); CREATE TABLE events (${EVENTS}); ${ORDER_INDEX};`;
export const LAYOUT_0_4 = `CREATE TABLE sessions (${SESSIONS_0_4}); CREATE TABLE events (${EVENTS}); ${ORDER_INDEX};`;

/** How such a driver stores an event: id, index, session, time, connection, sender, payload. */
export const storeEvent = (schema: string) => `
  INSERT INTO ${schema}.events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (id) DO UPDATE SET event_index = EXCLUDED.event_index, session_id = EXCLUDED.session_id,
      created_at = EXCLUDED.created_at, connection_id = EXCLUDED.connection_id, sender = EXCLUDED.sender,
      payload_json = EXCLUDED.payload_json`;

/** How it stores a session: the columns in the order of 0.4. */
export const storeSession = (schema: string) => `
  INSERT INTO ${schema}.sessions (id, agent, agent_session_id, last_connection_id, created_at, destroyed_at, sandbox_id,
      session_init_json, config_options_json, modes_json)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (id) DO UPDATE SET agent = EXCLUDED.agent, agent_session_id = EXCLUDED.agent_session_id,
      last_connection_id = EXCLUDED.last_connection_id, created_at = EXCLUDED.created_at,
      destroyed_at = EXCLUDED.destroyed_at, sandbox_id = EXCLUDED.sandbox_id,
      session_init_json = EXCLUDED.session_init_json, config_options_json = EXCLUDED.config_options_json,
      modes_json = EXCLUDED.modes_json`;

/** Some rows of an event table in the field, whose payloads are `{"id": ...}`. */
export function rowsOf(events: [id: string, index: number | null, session: string, createdAt: number][]): string {
  const rows = events.map(
    ([id, index, session, createdAt]) =>
      `('${id}', ${index ?? "NULL"}, '${session}', ${createdAt}, 'c', 'agent', '{"id":"${id}"}')`,
  );
  return `INSERT INTO events (id, event_index, session_id, created_at, connection_id, sender, payload_json)
    VALUES ${rows.join(", ")};`;
}

/** A trigger for each row, with a function of its own. */
export const trigger = (name: string, event: string, body: string) => `
  CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
  CREATE TRIGGER ${name} ${event} FOR EACH ROW EXECUTE FUNCTION ${name}();`;
