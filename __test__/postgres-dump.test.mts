/** Backups of Postgres are those of its own tools: what `pg_dump` wrote, while others wrote too, opens in a new database and goes on. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import { PostgresSessionPersistDriver, type PostgresSessionPersistDriverOptions } from "../index.js";
import { directory } from "./support/directory.mts";
import { startServer } from "./support/postgres/server.mts";
import { runTool, skipWithoutTools, versionForTools } from "./support/postgres/tools.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";

type Options = PostgresSessionPersistDriverOptions;

/** How a database is dumped, and how that is restored. */
const WAYS: [
  string,
  Options,
  (url: string, file: string) => Promise<void>,
  (url: string, file: string) => Promise<void>,
][] = [
  [
    "a dump in the custom format, by pg_restore",
    {},
    (url, file) => runTool("pg_dump", ["--format=custom", `--file=${file}`, url]),
    (url, file) => runTool("pg_restore", ["--exit-on-error", "--no-owner", `--dbname=${url}`, file]),
  ],
  [
    "a dump of the driver's schema as SQL, by psql",
    { schema: "agents", tablePrefix: "our_" },
    (url, file) => runTool("pg_dump", ["--schema=agents", `--file=${file}`, url]),
    (url, file) => runTool("psql", ["--quiet", "--no-psqlrc", `--file=${file}`, url]),
  ],
];

describe("pg_dump", { skip: skipWithoutTools() }, async () => {
  const server = await startServer({ version: versionForTools()! });
  after(server.cleanup);

  for (const [what, options, dump, restore] of WAYS) {
    test(`${what}: it holds all that was acknowledged before, and a beginning of what each writer wrote`, async (t) => {
      const open = (connectionString: string, more: Options = {}) => {
        const driver = new PostgresSessionPersistDriver({ connectionString, ...options, ...more });
        t.after(() => driver.close());
        return driver;
      };
      const url = await server.createDatabase();
      const driver = open(url);
      const record = sessionOf("s", { sessionInit: { cwd: "/a", mcpServers: [] } as never });
      await driver.updateSession(record);
      await driver.setLabels("s", { tenant: "a" });
      await driver.updateSession(sessionOf("deleted"));
      await driver.deleteSession("deleted");

      const sessions = Array.from({ length: 8 }, (_, number) => `writer-${number}`);
      const acknowledged = sessions.map(() => 0);
      let writing = true;
      const writers = sessions.map(async (session, number) => {
        for (let index = 1; writing; index += 1) {
          await driver.insertEvent(session, eventAt(session, index));
          acknowledged[number] = index;
        }
      });
      while (Math.min(...acknowledged) < 5) await driver.getSession("s");
      const before = [...acknowledged];
      const file = join(directory(t), "dump");
      await dump(url, file);
      writing = false;
      await Promise.all(writers);

      const restored = await server.createDatabase();
      await restore(restored, file);
      // As a role opens it that may make no tables: nothing is missing.
      const copy = open(restored, { migrate: false });
      for (const [number, session] of sessions.entries()) {
        const events = await allEvents(copy, session);
        assert.ok(events.length >= before[number]!, `${session}: ${events.length} of ${before[number]}`);
        assert.deepEqual(
          events,
          events.map((_, position) => eventAt(session, position + 1)),
        );
        const next = events.length + 1;
        await copy.insertEvent(session, eventAt(session, next));
        const taken = eventAt(session, next, { id: "other" });
        await copy.insertEvent(session, taken);
        assert.equal(taken.eventIndex, next + 1);
      }
      assert.deepEqual(await copy.getSession("s"), record);
      assert.deepEqual((await copy.listSessions({ labels: { tenant: "a" } })).items, [record]);
      assert.equal(await copy.getSession("deleted"), undefined);
    });
  }
});
