/**
 * A program of the user's own that writes to the table of events with `pg`, in every way that there is, until it is told to stop:
 * `postgres-rewrite-events.mts URL SCHEMA`. What it does it does to a table of its own too, `mirror`, in the same transaction.
 */
import pg from "pg";

const [, , url, schema] = process.argv;
const columns = "id, event_index, session_id, created_at, connection_id, sender, payload_json";
let made = 0;
let stopping = false;
process.on("message", () => (stopping = true));

const pick = (count: number) => Math.floor(Math.random() * count);

/** Each of the connections has sessions of its own. */
async function work(connection: number): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`SET search_path = ${schema}`);
  const both = async (sql: string, values: unknown[], name?: string) => {
    // A statement with a name is planned once, and must find the new table all the same.
    for (const table of ["events", "mirror"]) {
      await client.query({ name: name && `${name}-${table}`, text: sql.replaceAll("TABLE", table), values });
    }
  };
  while (!stopping) {
    const session = `owner-${connection}-${pick(3)}`;
    const found = await client.query("SELECT id FROM mirror WHERE session_id = $1 ORDER BY random() LIMIT 1", [
      session,
    ]);
    const kind = found.rows.length > 0 ? pick(5) : 0;
    const id = found.rows[0]?.id;
    made += 1;
    await client.query("BEGIN");
    if (kind <= 1) {
      const rows = Array.from({ length: 1 + pick(3) }, (_, number) => `${connection}-${made}-${number}`);
      await both(
        `INSERT INTO TABLE (${columns}) SELECT id, $2::bigint + row_number() OVER (), $3, $2::bigint, 'c', 'agent', '{"made":1}'
         FROM unnest($1::text[]) AS id ON CONFLICT (session_id, event_index) DO NOTHING`,
        [rows, made * 10, session],
        "insert",
      );
    }
    if (kind === 2)
      await both("UPDATE TABLE SET payload_json = $2 WHERE session_id = $1 AND id = $3", [session, `[${made}]`, id]);
    if (kind === 3) await both("DELETE FROM TABLE WHERE session_id = $1 AND id = $2", [session, id], "delete");
    if (kind === 4)
      await both("UPDATE TABLE SET event_index = $2 WHERE session_id = $1 AND id = $3", [session, made * 10, id]);
    await client.query(pick(10) === 0 ? "ROLLBACK" : "COMMIT");
  }
  await client.end();
}

process.send?.("open");
await Promise.all([work(0), work(1)]);
process.send?.(made);
process.disconnect();
