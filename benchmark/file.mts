/** A place for an SQLite file that nobody has used. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs `work` with the path of a file that is not there yet, and removes what has become of it. */
export async function withFile<R>(work: (file: string) => Promise<R>): Promise<R> {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-bench-"));
  try {
    return await work(join(directory, "bench.db"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
