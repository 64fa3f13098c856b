/** `copy` between SQLite and Postgres, in all four ways; what it refuses; a server that is far; writers on both sides. */
import assert from "node:assert/strict";
import { existsSync, linkSync, symlinkSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";

import { objects, run } from "./support/command-line.mts";
import { directory } from "./support/directory.mts";
import { putFarAway } from "./support/postgres/far.mts";
import { makeSchema } from "./support/postgres/schema.mts";
import { startServer } from "./support/postgres/server.mts";
import { allEvents, eventAt, sessionOf } from "./support/records.mts";
import { openPersist } from "./support/storage.mts";
import { filled, inSchema, newFile, newSchemaOf } from "./suites/cli/store.mts";
import { copying, endingCopies } from "./suites/copying.mts";

const server = await startServer();
after(server.cleanup);

const newSchema = newSchemaOf(server.url);

copying("SQLite to SQLite", newFile, newFile);
copying("SQLite to Postgres", newFile, newSchema);
copying("Postgres to SQLite", newSchema, newFile);
copying("Postgres to Postgres", newSchema, newSchema);

endingCopies("SQLite to Postgres, ended", newFile, newSchema);
endingCopies("Postgres to SQLite, ended", newSchema, newFile);

for (const newStore of [newFile, newSchema]) {
  test(`a store is not copied into itself, with ${newStore.name}`, async (t) => {
    const { store } = await filled(t, newStore, (driver) => driver.updateSession(sessionOf("s")));
    const outcome = await run(["copy", store, store, "--yes"]);
    assert.match(outcome.stderr, /^error: copying .* into itself would do nothing: name another store\n$/);
    assert.equal(outcome.code, 2);
  });
}

test("a store is not copied into itself by another name", async (t) => {
  const file = await filled(t, newFile, (driver) => driver.updateSession(sessionOf("s")));
  const folder = directory(t);
  const [link, name] = [path.join(folder, "link.db"), path.join(folder, "name.db")];
  symlinkSync(file.store, link);
  linkSync(file.store, name);
  const schema = await filled(t, newSchema, (driver) => driver.updateSession(sessionOf("s")));
  const other = new URL(schema.store);
  other.protocol = "postgresql:";
  other.searchParams.set("application_name", "another");
  for (const [from, to] of [
    [file.store, link],
    [file.store, name],
    [name, file.store],
    [file.store, path.relative(".", file.store)],
    [schema.store, other.href],
  ] as const) {
    const outcome = await run(["copy", from, to, "--yes"]);
    assert.match(outcome.stderr, /^error: copying .* into itself would do nothing: name another store\n$/);
    assert.equal(outcome.code, 2);
  }
});

test("without a terminal it wants --yes, creates nothing before, and shows no password", async (t) => {
  const source = await filled(t, newFile, (driver) => driver.updateSession(sessionOf("s")));
  const file = path.join(directory(t), "new.db");
  const asked = await run(["copy", source.store, file]);
  assert.match(asked.stderr, /^error: This copies all sessions .* to .*new\.db, and creates its tables: add --yes/);
  assert.deepEqual([asked.code, asked.stdout, existsSync(file)], [2, "", false]);

  const secret = new URL(server.url);
  secret.password = "s3cret";
  secret.searchParams.set("schema", await makeSchema(server.url));
  for (const more of [[], ["--yes"], ["--dry-run"]]) {
    const outcome = await run(["copy", source.store, secret.href, ...more]);
    assert.doesNotMatch(outcome.stdout + outcome.stderr, /s3cret/);
  }
});

test("many small sessions are copied from and to a server that is far", async (t) => {
  const far = await putFarAway(server, 10);
  t.after(() => far.close());
  const source = await filled(t, newSchema, async (driver) => {
    const ids = Array.from({ length: 300 }, (_, number) => `s${number}`);
    await Promise.all(
      ids.flatMap((id) => [driver.updateSession(sessionOf(id)), driver.insertEvent(id, eventAt(id, 1))]),
    );
  });
  const target = await newSchema(t);
  const outcome = await run(["copy", far.urlOf(source.store), far.urlOf(target.store), "--yes", "--json"]);
  assert.equal(outcome.code, 0, outcome.stderr);
  const [{ sessions, checksum }] = objects<{ sessions: number; checksum: { events: number } }>(outcome);
  assert.deepEqual([sessions, checksum.events], [300, 300]);
});

for (const [from, to] of [
  [newFile, newSchema],
  [newSchema, newFile],
]) {
  test(`others write to the source and the target meanwhile, from ${from.name}`, async (t) => {
    const source = await filled(t, from, async (driver) => {
      for (let index = 0; index < 3_000; index += 1) void driver.insertEvent("s", eventAt("s", index));
      await driver.updateSession(sessionOf("s"));
    });
    const target = await filled(t, to, (driver) => driver.updateSession(sessionOf("mine")));
    const [reader, writer] = [openPersist(source.storage), openPersist(target.storage)];
    const command = run(["copy", source.store, target.store, "--yes", "--json"]);
    let isOver = false;
    void command.then(() => (isOver = true));
    let written = 0;
    while (!isOver) {
      await Promise.all([
        reader.insertEvent("s", eventAt("s", 3_000 + written)),
        writer.insertEvent("mine", eventAt("mine", written)),
      ]);
      written += 1;
    }
    const outcome = await command;
    assert.equal(outcome.code, 0, outcome.stderr);
    const again = await run(["copy", source.store, target.store, "--yes", "--json"]);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(await allEvents(writer, "s"), await allEvents(reader, "s"));
    assert.equal((await allEvents(writer, "mine")).length, written);
    await Promise.all([reader.close(), writer.close()]);
  });
}
