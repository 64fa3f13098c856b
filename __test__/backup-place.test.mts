/** Where `backup` of SQLite puts a copy: what is there already is replaced, or refused. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { basename, join } from "node:path";
import { test, type TestContext } from "node:test";

import type { BackupOptions } from "../index.js";
import { refused } from "./suites/arguments/refusals.mts";
import { directory } from "./support/directory.mts";
import { allEvents, eventAt } from "./support/records.mts";
import { checkSound, filled, partials } from "./support/sqlite/backups.mts";
import { open } from "./support/sqlite/refusals.mts";

/** A driver of a small file, and what the call is refused with. */
async function small(t: TestContext) {
  const folder = directory(t);
  const driver = open(t, join(folder, "sessions.db"));
  await driver.insertEvent("s", eventAt("s", 1));
  const refuses = async (path: string, message: RegExp, options?: BackupOptions) => {
    const names = readdirSync(folder);
    await refused(() => driver.backup(path, options), message);
    assert.deepEqual(readdirSync(folder), names);
  };
  return { folder, driver, refuses };
}

test("a file that is there is replaced only if that was asked for", async (t) => {
  const { folder, driver, refuses } = await small(t);
  const path = join(folder, "backup.db");
  writeFileSync(path, "other", { mode: 0o644 });
  await refuses(path, /^there is a file at .*backup\.db already; choose another path, or pass overwrite: true/);
  await refuses(path, /^there is a file at /, { overwrite: false });
  assert.equal(readFileSync(path, "utf8"), "other");
  await driver.backup(path, { overwrite: true });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  checkSound(path);
});

test("a file that comes while the backup is under way is not replaced either", async (t) => {
  const folder = directory(t);
  const driver = await filled(t, folder, 4);
  const path = join(folder, "backup.db");
  const onProgress = () => writeFileSync(path, "other");
  await refused(() => driver.backup(path, { onProgress }), /^there is a file at /);
  assert.equal(readFileSync(path, "utf8"), "other");
  assert.deepEqual(partials(folder), []);
});

test("a symbolic link is a file that is there, and is replaced, not followed", async (t) => {
  const { folder, driver, refuses } = await small(t);
  const pointee = join(folder, "pointee");
  for (const there of [false, true]) {
    if (there) writeFileSync(pointee, "pointee");
    const path = join(folder, `link-${there}.db`);
    symlinkSync(pointee, path);
    await refuses(path, /^there is a file at /);
    assert.equal(readlinkSync(path), pointee);
    await driver.backup(path, { overwrite: true });
    checkSound(path);
    assert.equal(existsSync(pointee), there);
  }
  assert.equal(readFileSync(pointee, "utf8"), "pointee");
});

test("the driver's own file, by whatever name, and those beside it are refused", async (t) => {
  const { folder, driver, refuses } = await small(t);
  const own = /^path must not be the file that is backed up, or one that belongs to it, as .* does/;
  const other = directory(t);
  symlinkSync(folder, join(other, "folder"));
  symlinkSync(join(folder, "sessions.db"), join(other, "link.db"));
  linkSync(join(folder, "sessions.db"), join(other, "hard.db"));
  for (const options of [undefined, { overwrite: true }]) {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) {
      await refuses(join(folder, `sessions.db${suffix}`), own, options);
      await refuses(join(other, "folder", `sessions.db${suffix}`), own, options);
      await refuses(join(folder, "..", basename(folder), `sessions.db${suffix}`), own, options);
    }
    for (const name of ["link.db", "hard.db"]) await refuses(join(other, name), own, options);
  }
  assert.deepEqual(await allEvents(driver, "s"), [eventAt("s", 1)]);
});

test("a database that is open there, or was not closed, is not mixed with the backup", async (t) => {
  const { folder, driver, refuses } = await small(t);
  const path = join(folder, "backup.db");
  const there = open(t, path);
  await there.insertEvent("there", eventAt("there", 1));
  await refuses(path, /^a backup to .* would be damaged by .*backup\.db-wal, .*: a database of that name is open/, {
    overwrite: true,
  });
  await there.close();
  await driver.backup(path, { overwrite: true });
  assert.deepEqual(await allEvents(open(t, path), "s"), [eventAt("s", 1)]);
});

test("what is no place for a file is refused", async (t) => {
  const { folder, driver, refuses } = await small(t);
  mkdirSync(join(folder, "directory"));
  await refuses(join(folder, "directory"), /is a directory$/, { overwrite: true });
  if (process.platform !== "win32") {
    // As root one could replace a device.
    const socket = createServer().listen(join(folder, "socket"));
    await once(socket, "listening");
    await refuses(join(folder, "socket"), /is something else$/, { overwrite: true });
    socket.close();
  }
  for (const path of ["", ":memory:", "file:a.db", "a\u0000b"]) {
    await refuses(path, /^path must be the path of a file; a URI, ":memory:" or an empty string is none$/);
  }
  const missing = join(folder, "missing", "backup.db");
  await assert.rejects(driver.backup(missing), (error: Error & { code: string }) => {
    assert.equal(error.code, "ERR_PERSIST_UNAVAILABLE");
    assert.match(error.message, /check that its directory exists and that this process may write there/);
    assert.ok(error.message.includes(missing));
    return true;
  });
  assert.equal(existsSync(join(folder, "missing")), false);
});

test("what looks like a part of a backup stays if it is none, or if it is being written", async (t) => {
  const folder = directory(t);
  const driver = await filled(t, folder, 8);
  const kept = ["backup.db.partial", "other.db.0123456789abcdef.partial", "backup.db.0123456789ABCDEF.partial"];
  for (const name of kept) writeFileSync(join(folder, name), "");
  mkdirSync(join(folder, "backup.db.0123456789abcde0.partial"));
  symlinkSync("nowhere", join(folder, "backup.db.0123456789abcde1.partial"));
  writeFileSync(join(folder, "backup.db.0123456789abcde2.partial"), "of a process that was killed");
  const path = join(folder, "backup.db");
  // The second begins while the first is written.
  let second: Promise<unknown> | undefined;
  const onProgress = () => void (second ??= driver.backup(path, { overwrite: true }));
  await driver.backup(path, { overwrite: true, onProgress });
  await second;
  assert.ok(second);
  checkSound(path);
  const left = readdirSync(folder).filter((name) => name.endsWith(".partial"));
  assert.deepEqual(
    left.sort(),
    [...kept, "backup.db.0123456789abcde0.partial", "backup.db.0123456789abcde1.partial"].sort(),
  );
});
