/** Tables partitioned by hash, as the README says to make them. */
export const PARTITIONED = (schema: string) => `
CREATE TABLE ${schema}.sessions (
  id text COLLATE "C" NOT NULL PRIMARY KEY, agent text NOT NULL, agent_session_id text NOT NULL,
  last_connection_id text NOT NULL, created_at bigint NOT NULL, destroyed_at bigint, sandbox_id text,
  session_init_json json, config_options_json json, modes_json json, extra_json json
) PARTITION BY HASH (id);
CREATE INDEX ON ${schema}.sessions (created_at, id COLLATE "C");
CREATE TABLE ${schema}.events (
  id text COLLATE "C" NOT NULL, event_index bigint NOT NULL, session_id text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL, connection_id text NOT NULL, sender text NOT NULL, payload_json json NOT NULL,
  extra_json json, UNIQUE (session_id, event_index)
) PARTITION BY HASH (session_id);
${[0, 1, 2, 3]
  .map(
    (remainder) => `
CREATE TABLE ${schema}.sessions_${remainder} PARTITION OF ${schema}.sessions
  FOR VALUES WITH (MODULUS 4, REMAINDER ${remainder});
CREATE TABLE ${schema}.events_${remainder} PARTITION OF ${schema}.events
  FOR VALUES WITH (MODULUS 4, REMAINDER ${remainder});`,
  )
  .join("")}`;
