/** Makes a store so slow that a signal comes in the middle of what another process does to it, on whatever machine. */
import type { SharedStore } from "./storage.mts";

/** Makes each event that is stored, or that goes, take some hundred microseconds, or `times` as long. Gives back what undoes that. */
export async function slowDown(made: SharedStore, event: "INSERT" | "DELETE", times = 1): Promise<() => Promise<void>> {
  const row = event === "INSERT" ? "NEW" : "OLD";
  const [slow, quick] = {
    SQLite: [
      `CREATE TRIGGER slow BEFORE ${event} ON events BEGIN
         SELECT count(*) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${4000 * times}) SELECT i FROM n);
       END`,
      "DROP TRIGGER slow",
    ] as const,
    Postgres: [
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(${0.0005 * times}); RETURN ${row}; END $$;
       CREATE TRIGGER slow BEFORE ${event} ON events FOR EACH ROW EXECUTE FUNCTION slow()`,
      // It waits for the end of what a killed process has sent.
      "DROP TRIGGER slow ON events",
    ] as const,
  }[made.storage.driver];
  await made.sql(slow);
  return () => made.sql(quick);
}
