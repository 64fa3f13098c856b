/**
 * The quick start of the README, word for word, on the real server with an agent that answers at length: everything that
 * was prompted is stored when the program ends, the answer included. With QUICK_START_RUNS more often, with
 * QUICK_START_UPDATES after answers of that length.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { textsOf } from "./support/agent/prompt.mts";
import { startServer as startAgentServer } from "./support/agent/server.mts";
import { startServer as startPostgres } from "./support/postgres/server.mts";
import { openReader, type Storage } from "./support/storage.mts";
import { allEvents } from "./support/records.mts";

const RUNS = Number(process.env["QUICK_START_RUNS"] ?? 1);
const UPDATES = (process.env["QUICK_START_UPDATES"] ?? "1,200,3000").split(",").map(Number);

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "quick-start-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const [agents, postgres] = await Promise.all([startAgentServer(), startPostgres()]);
after(() => Promise.all([agents.cleanup(), postgres.cleanup()]));

/** The first program under the heading. */
function quickStart(): string {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const code = /^## Quick start$[\s\S]*?^```ts\n([\s\S]*?)^```$/m.exec(readme)?.[1];
  assert.ok(code, "README.md has a program under `## Quick start`");
  return code;
}

/** The program with something else in one place, which must be there. */
function replaced(code: string, what: RegExp, by: string): string {
  assert.match(code, what);
  return code.replaceAll(new RegExp(what, "g"), by);
}

async function run(storage: Storage, prompt: string): Promise<void> {
  let code = replaced(quickStart(), /http:\/\/127\.0\.0\.1:2468/, agents.baseUrl);
  code = replaced(code, /agent: "\w+"/, 'agent: "mock"');
  code = replaced(code, /text: "[^"]*"/, `text: ${JSON.stringify(prompt)}`);
  code = replaced(code, /\{ filename: "[^"]*" \}/, JSON.stringify(storage.options));
  if (storage.driver === "Postgres") code = replaced(code, /SQLiteSession/, "PostgresSession");
  // As a program of this package, which its own name leads to.
  const { stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", code], {
    cwd: root,
    // It prints each update.
    maxBuffer: 64 << 20,
  });
  // The SDK says there what it could not store.
  assert.equal(stderr, "");
}

let storages = 0;

const stores: Record<string, () => Promise<Storage>> = {
  SQLite: async () => ({ driver: "SQLite", options: { filename: join(folder, `${(storages += 1)}.db`) } }),
  Postgres: async () => ({
    driver: "Postgres",
    options: { connectionString: await postgres.createDatabase(), schema: "public" },
  }),
};

for (const [store, makeStorage] of Object.entries(stores)) {
  // At once: each program waits for seconds until it may end.
  describe(store, { concurrency: true }, () => {
    for (const updates of UPDATES) {
      test(`an answer of ${updates} updates is stored whole`, async () => {
        for (let time = 0; time < RUNS; time += 1) {
          const storage = await makeStorage();
          await run(storage, `stream ${updates}`);
          await using persist = openReader(storage);
          const { items } = await persist.listSessions();
          const events = await allEvents(persist, items[0]!.id);
          const numbers = Array.from({ length: updates }, (_, position) => `${position + 1} of ${updates}`);
          assert.deepEqual(textsOf(events), numbers, `run ${time + 1}`);
          const answered = events.filter((event) => (event.payload as any).result?.stopReason);
          assert.equal(answered.length, 1, `run ${time + 1}`);
          // What began the session, its answer, and the prompt.
          assert.equal(events.length, 3 + updates + 1, `run ${time + 1}`);
        }
      });
    }
  });
}
