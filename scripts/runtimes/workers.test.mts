/** What a worker leaves behind that ends without `close`, on whichever runtime runs this file: nothing. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

const script = fileURLToPath(new URL("../../__test__/support/programs/write-in-worker.mjs", import.meta.url));

/** The drivers' threads, and the files that are open below the folder. */
function held(folder: string): { threads: number; files: number } {
  const threads = readdirSync("/proc/self/task").filter((thread) => {
    try {
      return readFileSync(`/proc/self/task/${thread}/comm`, "utf8").startsWith("persist-");
    } catch {
      return false; // it has ended
    }
  });
  const files = readdirSync("/proc/self/fd").filter((file) => {
    try {
      return readlinkSync(`/proc/self/fd/${file}`).startsWith(folder);
    } catch {
      return false; // it is closed
    }
  });
  return { threads: threads.length, files: files.length };
}

test(
  "a worker that is terminated gives back its threads and files",
  { skip: process.platform !== "linux" },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "persist-workers-"));
    try {
      const storage = { driver: "SQLite", options: { filename: join(folder, "a.db") } };
      const workers = Array.from(
        { length: 4 },
        (_, number) => new Worker(script, { workerData: { storage, round: `${number}` } }),
      );
      await Promise.all(workers.map((worker) => once(worker, "message")));
      const before = held(folder);
      assert.ok(before.threads >= 4 && before.files >= 4, JSON.stringify(before));
      await Promise.all(workers.map((worker) => worker.terminate()));
      // A thread that commits what was called before takes a moment to end.
      while (held(folder).threads + held(folder).files > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
