/** `migrate --sql`: an administrator runs it, and the application needs no right but to read and write rows. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { PostgresSessionPersistDriver } from "../../../index.js";
import { run } from "../../support/command-line.mts";
import { query, type TestServer } from "../../support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "../../support/records.mts";

export function administrator(server: TestServer): void {
  test("migrate: an administrator runs the SQL of --sql, and the application does all it does as a role of few rights", async () => {
    const url = await server.createDatabase();
    const [schema, role] = ['The "agents"', `it's "the app"; --\n`];
    const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
    await query(
      url,
      `CREATE ROLE dba LOGIN PASSWORD 'dba'; CREATE ROLE ${quoted(role)} LOGIN PASSWORD 'app';
       GRANT CREATE ON DATABASE ${new URL(url).pathname.slice(1)} TO dba`,
    );
    const as = (user: string, password: string) => {
      const own = new URL(url);
      [own.username, own.password] = [user, password];
      return own.href;
    };
    // Nobody listens there, and nobody is asked.
    const nowhere = `postgres://127.0.0.1:1/?schema=${encodeURIComponent(schema)}`;
    const sql = await run(["migrate", "--sql", "--role", role, "--store", nowhere]);
    assert.deepEqual([sql.code, sql.stderr], [0, ""]);
    await query(as("dba", "dba"), sql.stdout);

    await using driver = new PostgresSessionPersistDriver({
      connectionString: as(role, "app"),
      schema,
      migrate: false,
    });
    await driver.updateSession(sessionOf("s"));
    const tail = driver.tailEvents({ sessionId: "s" });
    await driver.insertEvent("s", eventAt("s", 1));
    assert.deepEqual((await tail.next()).value, eventAt("s", 1));
    await tail.return!();
    await driver.setLabels("s", { user: "u" });
    await driver.forkSession("s", { id: "fork" });
    for (const index of [2, 3]) await driver.insertEvent("s", eventAt("s", index));
    assert.equal((await driver.pruneSessions({ destroyedBefore: Date.now(), keepLastEvents: 1 })).events, 0);
    await driver.updateSession(sessionOf("s", { destroyedAt: 1 }));
    assert.equal((await driver.pruneSessions({ destroyedBefore: Date.now(), keepLastEvents: 1 })).events, 2);
    assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 3)]);
    assert.equal(await driver.deleteSession("s"), true);
    assert.deepEqual((await driver.listSessions()).items.map(({ id }) => id), ["fork"]); // prettier-ignore

    // It has no right to the tables themselves.
    await assert.rejects(query(as(role, "app"), `DROP TABLE ${quoted(schema)}.events`), { code: "42501" });
    const store = `${as(role, "app")}?schema=${encodeURIComponent(schema)}`;
    const ready = await run(["migrate"], { env: { SANDBOX_AGENT_PERSIST_URL: store } });
    assert.match(ready.stdout, /are ready\n$/);
  });

  test("migrate: a server that cannot be reached is told at once, without the password", async () => {
    const outcome = await run(["migrate", "--plan"], {
      env: { SANDBOX_AGENT_PERSIST_URL: "postgres://app:secret@127.0.0.1:1/app" },
    });
    assert.deepEqual([outcome.code, outcome.stdout], [1, ""]);
    assert.match(outcome.stderr, /^error: connecting to .* failed: .*\n$/);
    assert.doesNotMatch(outcome.stderr, /secret/);
  });
}
