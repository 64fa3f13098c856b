/** `label`, `fork`, `delete`, `prune`, `compact`, `vacuum`, `check`: what they do, print, and refuse. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { objects, run } from "../../support/command-line.mts";
import { countOf, fill, NOTHING } from "../../support/deletion.mts";
import { allEvents, eventAt, sessionOf } from "../../support/records.mts";
import { query } from "../../support/postgres/server.mts";
import { openPersist } from "../../support/storage.mts";
import { asOwner, SESSIONS_0_2 } from "../../support/sqlite/layouts.mts";
import { filled, type NewStore, type TestStore } from "./store.mts";

export function operate(newStore: NewStore): void {
  test("label: sets, removes and lists; an unknown session is 3", async (t) => {
    const { store } = await filled(t, newStore, (driver) => fill(driver, "a"));
    const env = { SANDBOX_AGENT_PERSIST_URL: store };
    const changed = await run(["label", "a", "project=x = y", "user=", "--yes"], { env });
    assert.deepEqual(changed, { code: 0, stdout: "project=x = y\n", stderr: "" });
    const listed = await run(["label", "a", "--json"], { env });
    assert.deepEqual([listed.code, objects(listed)], [0, [{ project: "x = y" }]]);
    const unknown = await run(["label", "b", "c=d", "--yes"], { env });
    assert.equal(unknown.code, 3);
    assert.match(unknown.stderr, /^error: there is no session "b" in .*`sandbox-agent-persist sessions` lists .*\n$/);
    const wrong = await run(["label", "a", "c"], { env });
    assert.match(wrong.stderr, /^error: invalid value 'c' .*: write NAME=VALUE, or NAME= to remove it .*\n$/);
    assert.equal(wrong.code, 2);
  });

  test("fork: prints the new id, or the record", async (t) => {
    const { store, storage } = await filled(t, newStore, (driver) => fill(driver, "a"));
    const forked = await run(["fork", "a", "--store", store, "--yes"]);
    assert.match(forked.stdout, /^[0-9a-f-]{36}\n$/);
    const record = await run(["fork", "a", "--id", "b", "--through-index", "2", "--store", store, "--yes", "--json"]);
    const taken = await run(["fork", "a", "--id", "b", "--store", store, "--yes"]);
    assert.match(taken.stderr, /^error: .*"b": there is a session with that id/);
    assert.equal(taken.code, 2);
    const driver = openPersist(storage);
    t.after(() => driver.close());
    assert.deepEqual(objects(record), [await driver.getSession("b")]);
    assert.equal((await allEvents(driver, forked.stdout.trim())).length, 3);
    assert.deepEqual(
      (await allEvents(driver, "b")).map(({ eventIndex }) => eventIndex),
      [1, 2],
    );
    assert.deepEqual(await driver.getLabels("b"), { user: "u1", forkedFrom: "a", forkedThrough: "2" });
  });

  test("delete: deletes what there is, says what there is not, and asks for --yes without a terminal", async (t) => {
    const { store, storage } = await filled(t, newStore, async (driver) => {
      await fill(driver, "a");
      await fill(driver, "kept");
      await driver.insertEvent("without a record", eventAt("without a record", 1));
    });
    const refused = await run(["delete", "a", "--store", store]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /^error: there is no terminal to ask on: add --yes to agree .*\n$/);
    const ids = ["a", "absent", "without a record", "a"];
    const deleted = await run(["delete", "--store", store, "--yes", "--json", ...ids]);
    assert.equal(deleted.code, 3);
    assert.match(deleted.stderr, /^error: there is no session "absent" in .*\n$/);
    assert.deepEqual(objects(deleted), [
      { id: "a", deleted: true },
      { id: "absent", deleted: false },
      { id: "without a record", deleted: true },
    ]);
    const driver = openPersist(storage);
    t.after(() => driver.close());
    for (const id of ids) assert.deepEqual(await countOf(driver, id), NOTHING);
    assert.deepEqual(await countOf(driver, "kept"), { records: 1, events: 3, labels: 1 });
    // An id that was mistyped can be used.
    await driver.updateSession(sessionOf("absent"));
  });

  test("prune: never without a condition; a dry run counts what a run deletes", async (t) => {
    const { store, storage } = await filled(t, newStore, async (driver) => {
      await fill(driver, "a", 5);
      await fill(driver, "b", 2);
      await driver.updateSession(sessionOf("destroyed", { destroyedAt: 1_700_000_000_000 }));
    });
    const all = await run(["prune", "--yes", "--keep-last-events", "3", "--store", store]);
    assert.equal(all.code, 2);
    assert.match(
      all.stderr,
      /^error: prune needs a condition, or it would delete every session: give --destroyed-before/,
    );
    const some = ["prune", "--label", "user=u1", "--idle-before", "1d", "--keep-last-events", "3", "--store", store];
    const would = await run([...some, "--dry-run", "--json"]);
    const did = await run([...some, "--yes", "--json"]);
    assert.deepEqual([would.stdout, did.stderr], [did.stdout, ""]);
    assert.deepEqual(
      objects<{ bytes: number }>(did).map((removed) => ({ ...removed, bytes: removed.bytes > 0 })),
      [{ sessions: 1, events: 2, bytes: true }],
    );
    const destroyed = await run(["prune", "--destroyed-before", "2026-01-01", "--yes", "--store", store]);
    assert.match(destroyed.stdout, /^1 session with 0 events \(0 B of JSON\) deleted from .*\n$/);
    const driver = openPersist(storage);
    t.after(() => driver.close());
    assert.deepEqual(await countOf(driver, "a"), { records: 1, events: 3, labels: 1 });
    assert.deepEqual(await countOf(driver, "b"), { records: 1, events: 2, labels: 1 });
    assert.deepEqual(await countOf(driver, "destroyed"), NOTHING);
  });

  test("compact: one session, or those that meet conditions; a dry run counts what a run does", async (t) => {
    const { store, storage } = await filled(t, newStore, async (driver) => {
      for (const id of ["a", "b", "c"]) {
        await fill(driver, id, 10);
        await driver.updateSession(sessionOf(id, { destroyedAt: 1_700_000_000_000 }));
      }
      await driver.setLabels("c", { user: "u2" });
    });
    const one = await run(["compact", "a", "--yes", "--store", store]);
    assert.match(one.stdout, /^9 of 10 events \(.* of JSON\) of 1 session joined with others in .*\n$/);
    const some = ["compact", "--label", "user=u1", "--json", "--store", store];
    const would = await run([...some, "--dry-run"]);
    const did = await run([...some, "--yes"]);
    assert.deepEqual([would.stdout, did.code], [did.stdout, 0]);
    const counts = objects<{ bytes: number }>(did).map((counted) => ({ ...counted, bytes: counted.bytes > 0 }));
    assert.deepEqual(counts, [{ sessions: 1, events: 11, removed: 9, bytes: true }]);
    const both = await run(["compact", "a", "--label", "user=u1", "--yes", "--store", store]);
    assert.match(both.stderr, /^error: the argument '\[ID\]' cannot be used with/);
    assert.equal((await run(["compact", "absent", "--dry-run", "--store", store])).code, 3);
    const driver = openPersist(storage);
    t.after(() => driver.close());
    const left = await Promise.all(["a", "b", "c"].map(async (id) => (await allEvents(driver, id)).length));
    assert.deepEqual(left, [1, 1, 10]);
  });

  test("vacuum, rebuild and check of a store with nothing to do; doctor is check", async (t) => {
    const { store, storage } = await filled(t, newStore, (driver) => fill(driver, "a"));
    const env = { SANDBOX_AGENT_PERSIST_URL: store };
    const vacuumed = await run(["vacuum", "--yes", "--json"], { env });
    assert.deepEqual([vacuumed.code, Object.keys(objects<object>(vacuumed)[0]!)], [0, ["bytes"]]);
    const rebuilt = await run(["rebuild", "--yes"], { env });
    assert.deepEqual(rebuilt, { code: 0, stdout: "the table of events needs no rebuild\n", stderr: "" });
    const checked = await run(["check", "--json"], { env });
    assert.deepEqual(await run(["doctor", "--json"], { env }), checked);
    const findings = objects<{ code: string; severity: string; remedy: string }>(checked);
    for (const { remedy } of findings) assert.ok(remedy);
    // The tests' server of Postgres does not wait for the disk.
    const errors = findings.filter(({ severity }) => severity === "error").map(({ code }) => code);
    const isPostgres = storage.driver === "Postgres";
    assert.deepEqual(errors, isPostgres ? ["fsync-off"] : []);
    assert.equal(checked.code, isPostgres ? 1 : 0);
    assert.match(checked.stderr, isPostgres ? /^error: .* has 1 error: .*; each says what to do\n$/ : /^$/);
  });

  test("tables that are not ready: what to do is a command, and no other one changes them", async (t) => {
    const made = await newStore(t);
    const { store, sql } = made;
    await sql(`CREATE TABLE sessions (${SESSIONS_0_2.replaceAll("INTEGER", "BIGINT")})`);
    const before = await tables(made);
    for (const command of [
      ["sessions"],
      ["show", "a"],
      ["tail", "a"],
      ["stats"],
      ["stats", "--totals"],
      ["export"],
      ["check"],
      ["label", "a"],
      ["prune", "--idle-before", "1d", "--dry-run"],
      ["compact", "--dry-run"],
      ["delete", "a", "--yes"],
      ["vacuum", "--yes"],
    ]) {
      const outcome = await run([...command, "--store", store]);
      assert.match(
        outcome.stderr,
        /^error: the tables of .* are not ready\. Missing: .*\. Use `sandbox-agent-persist migrate` once, .*\n$/,
      );
      assert.deepEqual([outcome.code, outcome.stdout], [1, ""], command.join(" "));
    }
    assert.deepEqual(await tables(made), before);
  });
}

/** All tables and columns that there are. */
async function tables({ storage }: TestStore): Promise<unknown[]> {
  if (storage.driver === "SQLite") {
    return asOwner(storage.options.filename, (database) => database.prepare("SELECT sql FROM sqlite_schema").all());
  }
  const { connectionString, schema } = storage.options;
  const sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1 ORDER BY 1, 2";
  return query(connectionString, sql, [schema]);
}
