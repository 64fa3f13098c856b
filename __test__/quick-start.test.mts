/**
 * The quick start of the README, word for word, on the real server with an agent that answers at length: everything that
 * was prompted is stored when the program ends, the answer included. With QUICK_START_RUNS more often, with
 * QUICK_START_UPDATES after answers of that length.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import { textsOf } from "./support/agent/prompt.mts";
import { startServer as startAgentServer } from "./support/agent/server.mts";
import { startServer as startPostgres } from "./support/postgres/server.mts";
import { runQuickStart } from "./support/quick-start.mts";
import { openReader, type Storage } from "./support/storage.mts";
import { allEvents } from "./support/records.mts";

const RUNS = Number(process.env["QUICK_START_RUNS"] ?? 1);
const UPDATES = (process.env["QUICK_START_UPDATES"] ?? "1,200,3000").split(",").map(Number);

const folder = mkdtempSync(join(tmpdir(), "quick-start-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const [agents, postgres] = await Promise.all([startAgentServer(), startPostgres()]);
after(() => Promise.all([agents.cleanup(), postgres.cleanup()]));

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
          await runQuickStart({ storage, baseUrl: agents.baseUrl, prompt: `stream ${updates}` });
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
