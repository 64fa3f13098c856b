/** Turns of the event loop: many answers leave others their turn, and what is written in one turn is committed together. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";

import { PostgresSessionPersistDriver, SQLiteSessionPersistDriver } from "../index.js";
import { query, startServer } from "./support/postgres/server.mts";
import { eventAt } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import type { Persist } from "./support/storage.mts";

const server = await startServer();
after(server.cleanup);

interface Opened {
  driver: Persist;
  /** How many transactions have stored events. */
  transactions(): Promise<number>;
}

const stores: Record<string, (t: TestContext) => Promise<Opened>> = {
  SQLite: async (t) => {
    const filename = join(directory(t), "turns.db");
    const driver = new SQLiteSessionPersistDriver({ filename });
    t.after(() => driver.close());
    await driver.ready();
    const before = commitsIn(`${filename}-wal`);
    return { driver, transactions: async () => commitsIn(`${filename}-wal`) - before };
  },
  Postgres: async (t) => {
    const connectionString = await server.createDatabase();
    const driver = new PostgresSessionPersistDriver({ connectionString });
    t.after(() => driver.close());
    await driver.ready();
    const count = "SELECT count(DISTINCT xmin::text)::integer AS count FROM events";
    return { driver, transactions: async () => (await query<{ count: number }>(connectionString, count))[0]!.count };
  },
};

/** How many transactions are in a write-ahead log: the last page of each says how large the file is after it. */
function commitsIn(log: string): number {
  const bytes = readFileSync(log);
  const pageSize = bytes.length > 0 ? bytes.readUInt32BE(8) : 0;
  let commits = 0;
  for (let frame = 32; frame < bytes.length; frame += 24 + pageSize) {
    if (bytes.readUInt32BE(frame + 4) > 0) commits += 1;
  }
  return commits;
}

for (const [store, open] of Object.entries(stores)) {
  describe(store, () => {
    test("others have their turns between the answers of 100,000 writes, which keep their order", async (t) => {
      const { driver } = await open(t);
      const COUNT = 100_000;
      const settled: number[] = [];
      const writes = Array.from({ length: COUNT }, (_, index) =>
        driver.insertEvent("s", eventAt("s", index)).then(() => settled.push(index)),
      );
      /** How many were settled when each turn came. */
      const turns: number[] = [];
      (function turn() {
        turns.push(settled.length);
        if (settled.length < COUNT) setImmediate(turn);
      })();
      await Promise.all(writes);
      assert.ok(settled.every((index, position) => index === position));
      const between = new Set(turns.filter((count) => count > 0 && count < COUNT));
      assert.ok(between.size > 100, `others had ${between.size} turns between them`);
    });

    test("sessions that each await their writes have them committed in one transaction a turn", async (t) => {
      const ROUNDS = 20;
      const counts: number[] = [];
      // A machine that stands still while answers are given makes two turns of one: then once more.
      while (counts.at(-1) !== ROUNDS && counts.length < 10) {
        const { driver, transactions } = await open(t);
        const sessions = Array.from({ length: 32 }, async (_, session) => {
          for (let index = 1; index <= ROUNDS; index += 1) {
            await driver.insertEvent(`s${session}`, eventAt(`s${session}`, index));
          }
        });
        await Promise.all(sessions);
        counts.push(await transactions());
      }
      assert.equal(counts.at(-1), ROUNDS, `transactions for ${ROUNDS} turns: ${counts}`);
    });
  });
}

test("writes are stored also when a program has put something else in the place of the promises' then", async (t) => {
  const driver = new SQLiteSessionPersistDriver();
  t.after(() => driver.close());
  const { mock } = t.mock.method(Promise.prototype, "then", () => {
    throw new Error("then was called");
  });
  try {
    await driver.insertEvent("s", eventAt("s", 1));
  } finally {
    mock.restore();
  }
  assert.equal((await driver.listEvents({ sessionId: "s" })).items.length, 1);
});
