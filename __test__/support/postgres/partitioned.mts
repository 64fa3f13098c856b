/** Tables partitioned by hash, as docs/postgres.md says to make them. */
import { readFileSync } from "node:fs";

const page = readFileSync(new URL("../../../docs/postgres.md", import.meta.url), "utf8");
const block = [...page.matchAll(/```sql\n([^`]*)```/g)].map(([, sql]) => sql!).find((sql) => sql.includes("BY HASH"));

/** SQL that makes them in a schema. */
export const PARTITIONED = (schema: string) => {
  if (!block) throw new Error("docs/postgres.md has no tables partitioned by hash.");
  return `SET search_path TO ${schema}; ${block}`;
};
