/** Ctrl-C and SIGKILL in the middle of `prune` and `compact`, and Ctrl-C in `rebuild`: nothing is half done, and a second run finishes. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { begin, objects, run } from "../../support/command-line.mts";
import { countOf, fill, NOTHING } from "../../support/deletion.mts";
import { query } from "../../support/postgres/server.mts";
import { allEvents, sessionOf } from "../../support/records.mts";
import { slowDown } from "../../support/slow.mts";
import { asOwner } from "../../support/sqlite/layouts.mts";
import { openPersist, type Persist } from "../../support/storage.mts";
import { filled, type NewStore, type TestStore } from "./store.mts";

const SESSIONS = ["a", "b", "c"];
const EVENTS = 800;
const ENDED = "ended; nothing is half done, run it again to go on\n";

/** Begins a command that removes events, sends the signal once the first are gone, and waits for its end. */
async function interrupt(
  t: TestContext,
  made: TestStore,
  arguments_: string[],
  signal: NodeJS.Signals,
): Promise<Persist> {
  const undo = await slowDown(made, "DELETE");
  const command = begin([...arguments_, "--store", made.store]);
  const watcher = openPersist(made.storage);
  const first = async () => (await watcher.listEvents({ sessionId: SESSIONS[0]!, limit: 1 })).items[0]?.eventIndex;
  await command.until(async () => (await first()) !== 1);
  command.kill(signal);
  await watcher.close();
  const outcome = await command.ended;
  const expected = signal === "SIGKILL" ? [null, ""] : [130, ENDED];
  assert.deepEqual([outcome.code, outcome.stderr, outcome.stdout], [...expected, ""]);
  await undo();
  const driver = openPersist(made.storage);
  t.after(() => driver.close());
  return driver;
}

export function interrupted(newStore: NewStore): void {
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    test(`prune: ${signal} in the middle leaves the newest events of a session, and a second run finishes`, async (t) => {
      const made = await filled(t, newStore, async (driver) => {
        for (const id of SESSIONS) await fill(driver, id, EVENTS);
      });
      const command = ["prune", "--label", "user=u1", "--yes", "--json"];
      const driver = await interrupt(t, made, command, signal);
      let left = { sessions: 0, events: 0 };
      for (const id of SESSIONS) {
        const indexes = (await allEvents(driver, id)).map(({ eventIndex }) => eventIndex);
        if (indexes.length === 0) {
          assert.deepEqual(await countOf(driver, id), NOTHING);
          continue;
        }
        left = { sessions: left.sessions + 1, events: left.events + indexes.length };
        assert.deepEqual(await countOf(driver, id), { records: 1, events: indexes.length, labels: 1 });
        assert.deepEqual(
          indexes,
          indexes.map((_, number) => EVENTS - indexes.length + 1 + number),
        );
      }
      assert.ok(left.events > 0 && left.events < SESSIONS.length * EVENTS, `${left.events} left`);
      const second = await run([...command, "--store", made.store]);
      assert.deepEqual({ ...objects<object>(second)[0], bytes: 0 }, { ...left, bytes: 0 });
      for (const id of SESSIONS) assert.deepEqual(await countOf(driver, id), NOTHING);
    });

    test(`compact: ${signal} in the middle leaves every text whole, and a second run finishes`, async (t) => {
      const made = await filled(t, newStore, async (driver) => {
        for (const id of SESSIONS) {
          await fill(driver, id, EVENTS);
          await driver.updateSession(sessionOf(id, { destroyedAt: 1_700_000_000_000 }));
        }
      });
      const command = ["compact", "--yes", "--json"];
      const driver = await interrupt(t, made, command, signal);
      let left = 0;
      for (const id of SESSIONS) left += await checkText(driver, id);
      assert.ok(left > SESSIONS.length && left < SESSIONS.length * EVENTS, `${left} left`);
      const second = await run([...command, "--store", made.store]);
      const { events, removed } = objects<{ events: number; removed: number }>(second)[0]!;
      assert.deepEqual({ events, removed }, { events: left, removed: left - SESSIONS.length });
      for (const id of SESSIONS) assert.equal(await checkText(driver, id), 1);
    });
  }

  test("rebuild: Ctrl-C in the middle leaves the table as it was, and a second run finishes", async (t) => {
    // A machine may be done before the signal comes: then there is more to do.
    for (let events = 20_000; ; events *= 4) {
      const made = await newStore(t);
      await made.sql(adopted(events)[made.storage.driver]);
      const driver = openPersist(made.storage);
      await driver.ready();
      await driver.close();
      const rebuild = begin(["rebuild", "--yes", "--store", made.store]);
      await rebuild.until(async () => (await leftovers(made)).length > 0).catch(() => "it is done");
      rebuild.kill("SIGINT");
      const outcome = await rebuild.ended;
      if (outcome.code === 0 && events < 1_000_000) continue;
      assert.deepEqual(outcome, { code: 130, stderr: ENDED, stdout: "" });
      assert.deepEqual(await leftovers(made), []);
      const second = await run(["rebuild", "--yes", "--json", "--store", made.store]);
      // The signal may have come when the new table was in its place already.
      if (objects<{ events: number }>(second)[0]?.events === 0 && events < 1_000_000) continue;
      assert.deepEqual({ ...objects<object>(second)[0], bytes: 0 }, { events, bytes: 0 });
      const third = await run(["rebuild", "--yes", "--json", "--store", made.store]);
      assert.deepEqual(objects(third), [{ events: 0, bytes: 0 }]);
      break;
    }
  });
}

/** A table of so many events that is not ours, in words of both databases. */
const adopted = (events: number) => ({
  SQLite: `CREATE TABLE events (id TEXT PRIMARY KEY, event_index INTEGER NOT NULL, session_id TEXT NOT NULL, created_at INTEGER NOT NULL,
      connection_id TEXT NOT NULL, sender TEXT NOT NULL, payload_json TEXT NOT NULL);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${events})
      INSERT INTO events SELECT 'e' || i, i, 's', i, 'c', 'agent', '{"n":' || i || '}' FROM n`,
  Postgres: `CREATE TABLE events (id text PRIMARY KEY, event_index bigint NOT NULL, session_id text NOT NULL, created_at bigint NOT NULL,
      connection_id text NOT NULL, sender text NOT NULL, payload_json json NOT NULL);
    INSERT INTO events SELECT 'e' || i, i, 's', i, 'c', 'agent', ('{"n":' || i || '}')::json FROM generate_series(1, ${events}) AS i`,
});

/** What a rebuild has put beside the table of events. */
async function leftovers({ storage }: TestStore): Promise<unknown[]> {
  if (storage.driver === "SQLite") {
    const sql = "SELECT name FROM sqlite_schema WHERE name LIKE '%rebuild%'";
    return asOwner(storage.options.filename, (database) => database.prepare(sql).all());
  }
  const { connectionString, schema } = storage.options;
  const sql = "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relname LIKE '%rebuild%'";
  return query(connectionString, sql, [schema]);
}

/** Checks what the session says, and comes back with the number of its events. */
async function checkText(driver: Persist, id: string): Promise<number> {
  const events = await allEvents(driver, id);
  const texts = events.map(
    ({ payload }) =>
      (payload as unknown as { params: { update: { content: { text: string } } } }).params.update.content.text,
  );
  const said = Array.from({ length: EVENTS }, (_, number) => `chunk ${number + 1}`).join("");
  assert.ok(texts.join("") === said, `${id} says something else`);
  return events.length;
}
