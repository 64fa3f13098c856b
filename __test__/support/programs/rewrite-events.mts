/**
 * A program of the user's own that writes to the table of events with better-sqlite3, in every way that there is, until it is told to
 * stop: `rewrite-events.mts FILE`. What it does it does to a table of its own too, `mirror`, in the same transaction.
 */
import Database from "better-sqlite3";

const database = new Database(process.argv[2], { timeout: 20_000 });
const columns = "id, event_index, session_id, created_at, connection_id, sender, payload_json";
let made = 0;
let stopping = false;

const pick = (count: number) => Math.floor(Math.random() * count);
const both = (sql: string, ...values: unknown[]) => {
  for (const table of ["events", "mirror"]) database.prepare(sql.replaceAll("TABLE", table)).run(...values);
};

/** One transaction of a random kind, on sessions that nobody else writes to. */
const rewrite = database.transaction(() => {
  const session = `owner-${pick(4)}`;
  const [event] = database
    .prepare("SELECT id, event_index FROM mirror WHERE session_id = ? ORDER BY random() LIMIT 1")
    .all(session) as { id: string; event_index: number }[];
  const row = (id: string) => [id, pick(1_000_000), session, made, "c", "agent", `{"made":${made}}`];
  made += 1;
  const kind = event ? pick(6) : 0;
  // A fresh table has no key on the ids.
  const hasKey = () => database.prepare("SELECT 1 FROM pragma_index_list('events') WHERE origin <> 'c'").get();
  if (kind <= 1) both(`INSERT OR IGNORE INTO TABLE (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?)`, ...row(`o-${made}`));
  if (kind === 2)
    both("UPDATE TABLE SET payload_json = ? WHERE id = ? AND session_id = ?", `[${made}]`, event.id, session);
  if (kind === 3) both("DELETE FROM TABLE WHERE id = ? AND session_id = ?", event.id, session);
  if (kind === 4) {
    both(
      "UPDATE OR REPLACE TABLE SET event_index = ? WHERE id = ? AND session_id = ?",
      pick(1_000_000),
      event.id,
      session,
    );
  }
  if (kind === 5) {
    // Takes the row with this id away from where it is.
    if (!hasKey()) both("DELETE FROM TABLE WHERE id = ?", event.id);
    both(`INSERT OR REPLACE INTO TABLE (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?)`, ...row(event.id));
  }
});

const work = () => {
  if (stopping) {
    process.send?.(made);
    database.close();
    process.disconnect();
    return;
  }
  rewrite.immediate();
  setImmediate(work);
};
process.on("message", () => (stopping = true));
process.send?.("open");
work();
