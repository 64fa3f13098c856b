/** Bad places: a file, directory or disk that cannot be used gives its code and message, and is left as it was. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import Database from "better-sqlite3";

import { allEvents, eventAt, largeEventAt, sessionOf } from "./support/records.mts";
import { directory } from "./support/directory.mts";
import { onSmallDisk } from "./support/small-disk.mts";
import { oldLayout, open, readyFile, refuses, works } from "./support/sqlite/refusals.mts";

/**
 * Runs `body` with the modes given, as a user whom they bind: root gives up its rights for that time. Skips where there
 * is no such user.
 */
async function withModes(t: TestContext, modes: Record<string, number>, body: () => Promise<void>): Promise<void> {
  if (!process.geteuid || !process.seteuid) return t.skip("modes do not bind on this system");
  const user = process.geteuid();
  const nobody = 65534;
  const paths = Object.entries(modes);
  // From the inside out: what lies in a closed directory cannot be reached any more.
  for (const [path, mode] of paths) {
    chmodSync(path, mode);
    if (user === 0) chownSync(path, nobody, nobody);
  }
  try {
    if (user === 0) process.seteuid(nobody);
    if (!paths.every(([path]) => existsSync(path))) return t.skip("nobody cannot reach the temporary directory");
    await body();
  } finally {
    process.seteuid(user);
    for (const [path, mode] of paths.reverse()) chmodSync(path, mode | 0o700);
  }
}

test("a missing directory is ERR_PERSIST_UNAVAILABLE, and the same driver works once it is made", async (t) => {
  const folder = join(directory(t), "not", "made");
  const filename = join(folder, "a.db");
  const driver = open(t, filename);
  await refuses(driver, filename, "ERR_PERSIST_UNAVAILABLE", /check that its directory exists/);
  assert.equal(existsSync(folder), false);
  mkdirSync(folder, { recursive: true });
  await works(driver);
});

test("a directory as the file is ERR_PERSIST_UNAVAILABLE", async (t) => {
  const folder = directory(t);
  const driver = open(t, folder);
  await refuses(driver, folder, "ERR_PERSIST_UNAVAILABLE", /cannot be opened/);
  assert.deepEqual(readdirSync(folder), []);
});

test("a file where a directory should be is ERR_PERSIST_UNAVAILABLE", async (t) => {
  const file = join(directory(t), "file");
  writeFileSync(file, "");
  const filename = join(file, "a.db");
  await refuses(open(t, filename), filename, "ERR_PERSIST_UNAVAILABLE", /check that its directory exists/);
});

test("a file that is not a database is ERR_PERSIST_CORRUPT, and is left as it was", async (t) => {
  const filename = join(directory(t), "letter.txt");
  const content = "Dear reader, this is a letter and no database. ".repeat(100);
  writeFileSync(filename, content);
  const driver = open(t, filename);
  await refuses(driver, filename, "ERR_PERSIST_CORRUPT", /not an SQLite database/);
  await assert.rejects(driver.ready(), { sqliteCode: "SQLITE_NOTADB" });
  await driver.close();
  assert.equal(readFileSync(filename, "utf8"), content);
});

test("a truncated database is ERR_PERSIST_CORRUPT", async (t) => {
  const filename = join(directory(t), "truncated.db");
  await readyFile(filename, 200);
  const { size } = statSync(filename);
  for (const rest of [Math.floor(size / 2 / 4096) * 4096, 4096, 4096 + 100, 50]) {
    truncateSync(filename, rest);
    const driver = open(t, filename);
    await refuses(driver, filename, "ERR_PERSIST_CORRUPT", /damaged|not an SQLite database/);
    await driver.close();
    assert.equal(statSync(filename).size, rest);
  }
});

test("damage in the middle of a file is ERR_PERSIST_CORRUPT for what lies there", async (t) => {
  const filename = join(directory(t), "damaged.db");
  await readyFile(filename, 400);
  const bytes = readFileSync(filename);
  // All but the first pages, which say which tables there are.
  bytes.fill(0xaa, 6 * 4096);
  writeFileSync(filename, bytes);
  const driver = open(t, filename);
  await assert.rejects(allEvents(driver, "s"), { code: "ERR_PERSIST_CORRUPT", sqliteCode: "SQLITE_CORRUPT" });
});

for (const [what, sql] of [
  ["a file", ""],
  ["an application's file without a version", "CREATE TABLE customers (id INTEGER PRIMARY KEY)"],
]) {
  test(`${what} that may only be read is ERR_PERSIST_READONLY for writes, and is read`, async (t) => {
    const folder = directory(t);
    const filename = join(folder, "read-only.db");
    await readyFile(filename);
    const database = new Database(filename);
    database.exec(sql);
    database.close();
    await withModes(t, { [filename]: 0o444, [folder]: 0o755 }, async () => {
      const driver = open(t, filename);
      const refused = {
        code: "ERR_PERSIST_READONLY",
        sqliteCode: "SQLITE_READONLY",
        message: /check the rights of the file and of its directory/,
      };
      await assert.rejects(driver.insertEvent("s", eventAt("s", 2)), refused);
      await assert.rejects(driver.updateSession(sessionOf("s")), refused);
      assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
    });
  });
}

test("a file in an older layout that may only be read is ERR_PERSIST_READONLY", async (t) => {
  const folder = directory(t);
  const filename = join(folder, "old.db");
  oldLayout(filename);
  await withModes(t, { [filename]: 0o444, [folder]: 0o755 }, async () => {
    await refuses(open(t, filename), filename, "ERR_PERSIST_READONLY", /check the rights of the file/);
  });
});

test("a file that this user may not open is ERR_PERSIST_UNAVAILABLE", async (t) => {
  const folder = directory(t);
  const filename = join(folder, "secret.db");
  await readyFile(filename);
  await withModes(t, { [filename]: 0o000, [folder]: 0o755 }, async () => {
    await refuses(open(t, filename), filename, "ERR_PERSIST_UNAVAILABLE", /may write there/);
  });
});

test("a directory that may only be read is ERR_PERSIST_UNAVAILABLE for a new file", async (t) => {
  const folder = directory(t);
  const filename = join(folder, "new.db");
  await withModes(t, { [folder]: 0o555 }, async () => {
    await refuses(open(t, filename), filename, "ERR_PERSIST_UNAVAILABLE", /may write there/);
  });
});

// SQLite cannot open a file in write-ahead logging without the -shm file beside it, not even to read.
for (const readonly of [false, true]) {
  test(`a file in a directory that may only be read rejects with a code and stays whole (readonly: ${readonly})`, async (t) => {
    const folder = directory(t);
    const filename = join(folder, "there.db");
    await readyFile(filename);
    const before = readFileSync(filename);
    await withModes(t, { [filename]: 0o644, [folder]: 0o555 }, async () => {
      const driver = open(t, filename, { readonly });
      const refused = { code: /^ERR_PERSIST_(READONLY|UNAVAILABLE)$/, message: /there\.db.*directory/ };
      await assert.rejects(driver.ready(), refused);
      await assert.rejects(driver.listEvents({ sessionId: "s" }), refused);
      await driver.close();
      assert.deepEqual(readFileSync(filename), before);
    });
  });
}

test("a file system that may only be read is ERR_PERSIST_READONLY for a new file", async (t) => {
  await onSmallDisk(t, "1m", async (folder) => {
    execFileSync("mount", ["-o", "remount,ro", folder]);
    const filename = join(folder, "new.db");
    await refuses(open(t, filename), filename, "ERR_PERSIST_READONLY", /read-only|Read-only/);
  });
});

test("a full disk is ERR_PERSIST_FULL: what was acknowledged stays, and writes work again once there is room", async (t) => {
  await onSmallDisk(t, "3m", async (folder) => {
    const ballast = join(folder, "ballast");
    writeFileSync(ballast, Buffer.alloc(1 << 20));
    const filename = join(folder, "full.db");
    const driver = open(t, filename);
    const acknowledged: number[] = [];
    const failed: (Error & { code: string; sqliteCode: string })[] = [];
    for (let index = 1; failed.length === 0; index += 8) {
      const batch = Array.from({ length: 8 }, (_, number) => index + number);
      const writes = batch.map((at) => driver.insertEvent("s", largeEventAt("s", at, 20_000)));
      for (const [number, result] of (await Promise.allSettled(writes)).entries()) {
        if (result.status === "fulfilled") acknowledged.push(batch[number]);
        else failed.push(result.reason);
      }
    }
    for (const error of failed) {
      assert.equal(error.code, "ERR_PERSIST_FULL");
      assert.equal(error.sqliteCode, "SQLITE_FULL");
      assert.match(error.message, /the disk .*is full; nothing was stored/);
      assert.ok(error.message.includes(filename) && !error.message.includes("xxx"));
    }
    assert.ok(acknowledged.length >= 8);
    const stored = async () => (await allEvents(driver, "s")).map((event) => event.eventIndex);
    assert.deepEqual(await stored(), acknowledged);

    rmSync(ballast);
    const later = Math.max(...acknowledged) + 100;
    await driver.insertEvent("s", eventAt("s", later));
    assert.deepEqual(await stored(), [...acknowledged, later]);
    await driver.close();

    const database = new Database(filename);
    assert.deepEqual(database.pragma("integrity_check"), [{ integrity_check: "ok" }]);
    database.close();
  });
});

test("an event that was to be moved, but found the disk full, takes no later one with it", async (t) => {
  await onSmallDisk(t, "3m", async (folder) => {
    const driver = open(t, join(folder, "moved.db"));
    for (const index of [1, 5]) await driver.insertEvent("s", eventAt("s", index));
    const ballast = join(folder, "ballast");
    assert.throws(() => writeFileSync(ballast, Buffer.alloc(4 << 20)), { code: "ENOSPC" });
    const taken = () => driver.insertEvent("s", eventAt("s", 1, { id: "other" }));
    await assert.rejects(taken(), { code: "ERR_PERSIST_FULL" });
    rmSync(ballast);
    await driver.insertEvent("s", eventAt("s", 2));
    await taken();
    await driver.insertEvent("s", eventAt("s", 3));
    assert.deepEqual(
      (await allEvents(driver, "s")).map(({ id, eventIndex }) => `${id}@${eventIndex}`),
      ["s-1@1", "s-2@2", "s-5@5", "other@6", "s-3@7"],
    );
  });
});

test("one write that is too large for the disk fails alone, and the small ones beside it are stored", async (t) => {
  await onSmallDisk(t, "4m", async (folder) => {
    const driver = open(t, join(folder, "beside.db"));
    await driver.ready();
    for (let round = 0; round < 5; round += 1) {
      const from = 10 * round;
      // All in one turn of the event loop, so that the large one has small ones before and behind it in its batch.
      const writes = Array.from({ length: 9 }, (_, number) =>
        driver.insertEvent("s", number === 4 ? largeEventAt("s", from + 4, 8 << 20) : eventAt("s", from + number)),
      );
      const results = await Promise.allSettled(writes);
      for (const [number, result] of results.entries()) {
        if (number === 4) assert.equal((result as PromiseRejectedResult).reason?.code, "ERR_PERSIST_FULL");
        else assert.equal(result.status, "fulfilled", String((result as PromiseRejectedResult).reason));
      }
      const expected = Array.from(
        { length: 9 * (round + 1) },
        (_, number) => Math.floor(number / 9) * 10 + (number % 9),
      );
      assert.deepEqual(
        (await allEvents(driver, "s")).map((event) => event.eventIndex),
        expected.filter((index) => index % 10 !== 4),
      );
    }
  });
});

test("a disk that is full before there is a file is ERR_PERSIST_FULL, and works once there is room", async (t) => {
  await onSmallDisk(t, "256k", async (folder) => {
    const ballast = join(folder, "ballast");
    assert.throws(() => writeFileSync(ballast, Buffer.alloc(1 << 20)), { code: "ENOSPC" });
    const filename = join(folder, "new.db");
    const driver = open(t, filename);
    await refuses(driver, filename, "ERR_PERSIST_FULL", /full|No space/);
    rmSync(ballast);
    await works(driver);
  });
});

test("a new file, its -wal and its -shm are for their owner alone, whatever the umask", async (t) => {
  if (process.platform === "win32") return t.skip("Windows has no modes");
  const folder = directory(t);
  const umask = process.umask(0o022);
  t.after(() => process.umask(umask));
  const driver = open(t, join(folder, "private.db"));
  await works(driver);
  const modes = readdirSync(folder)
    .sort()
    .map((name) => [name, (statSync(join(folder, name)).mode & 0o777).toString(8)]);
  assert.deepEqual(modes, [
    ["private.db", "600"],
    ["private.db-shm", "600"],
    ["private.db-wal", "600"],
  ]);
});

test("a file that exists keeps its mode", async (t) => {
  if (process.platform === "win32") return t.skip("Windows has no modes");
  const filename = join(directory(t), "shared.db");
  oldLayout(filename);
  chmodSync(filename, 0o664);
  await works(open(t, filename));
  assert.equal(statSync(filename).mode & 0o777, 0o664);
});

test("a relative filename means the directory that the process was in when the driver was made", async (t) => {
  const [first, second] = [realpathSync(directory(t)), realpathSync(directory(t))];
  const home = process.cwd();
  t.after(() => process.chdir(home));
  process.chdir(first);
  const driver = open(t, "./relative.db");
  process.chdir(second);
  await works(driver);
  // Readers open connections of their own, later.
  await Promise.all([driver.listSessions(), driver.getSession("s"), allEvents(driver, "works")]);
  await driver.close();
  assert.deepEqual([readdirSync(first), readdirSync(second)], [["relative.db"], []]);
});

test("a filename with spaces, quotes, percent signs and letters beyond ASCII is just a name", async (t) => {
  const folder = directory(t);
  const name = `it's "50%20" ?mode=ro#1 日本 🎉.db`;
  if (process.platform === "win32") return t.skip("Windows allows fewer names");
  const driver = open(t, join(folder, name));
  await works(driver);
  await driver.close();
  assert.deepEqual(readdirSync(folder), [name]);
});

for (const filename of [":memory:", "closed.db"]) {
  test(`every call after close is ERR_PERSIST_CLOSED (${filename})`, async (t) => {
    const driver = open(t, filename === ":memory:" ? filename : join(directory(t), filename));
    await works(driver);
    await driver.close();
    const closed = { name: "Error", code: "ERR_PERSIST_CLOSED", message: /create a new one/ };
    await assert.rejects(driver.ready(), closed);
    await assert.rejects(driver.insertEvent("s", eventAt("s", 2)), closed);
    await assert.rejects(driver.updateSession(sessionOf("s")), closed);
    await assert.rejects(driver.getSession("s"), closed);
    await assert.rejects(driver.listSessions(), closed);
    await assert.rejects(driver.listEvents({ sessionId: "s" }), closed);
    await driver.close();
  });
}

test("a file that is deleted or replaced while it is open takes no more writes", async (t) => {
  if (process.platform === "win32") return t.skip("Windows does not let an open file be deleted");
  const filename = join(directory(t), "moved.db");
  const driver = open(t, filename);
  await works(driver);
  for (const ending of ["", "-wal", "-shm"]) rmSync(`${filename}${ending}`);
  const gone = { code: "ERR_PERSIST_UNAVAILABLE", message: /moved\.db failed: the file was deleted or replaced/ };
  await assert.rejects(driver.insertEvent("s", eventAt("s", 50)), gone);
  const next = open(t, filename);
  await works(next);
  await assert.rejects(driver.insertEvent("s", eventAt("s", 51)), gone);
});

test("the connections of a database in memory wait for each other, whatever busyTimeoutMs says", async (t) => {
  const driver = open(t, ":memory:", { busyTimeoutMs: 0 });
  const count = 400;
  const write = async (sessionId: string) => {
    for (let index = 1; index <= count; index += 1) await driver.insertEvent(sessionId, eventAt(sessionId, index));
  };
  const read = async (sessionId: string) => {
    while ((await allEvents(driver, sessionId)).length < count) await driver.getSession(sessionId);
  };
  await Promise.all([write("a"), write("b"), read("a"), read("b"), read("a")]);
});
