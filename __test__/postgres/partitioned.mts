/** Tables partitioned by hash, as the README says to make them. */
import { readFileSync } from "node:fs";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const block = [...readme.matchAll(/```sql\n([^`]*)```/g)].map(([, sql]) => sql!).find((sql) => sql.includes("BY HASH"));

/** SQL that makes them in a schema. */
export const PARTITIONED = (schema: string) => {
  if (!block) throw new Error("The README has no tables partitioned by hash.");
  return `SET search_path TO ${schema}; ${block}`;
};
