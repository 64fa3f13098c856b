/** The command line at a terminal: what it asks, how answers and Ctrl-C are taken, how far it is, and colours. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

import Database from "better-sqlite3";

import { SQLiteSessionPersistDriver } from "../index.js";
import { header } from "./support/archive.mts";
import { program } from "./support/command-line.mts";
import { countOf, fill, NOTHING } from "./support/deletion.mts";
import { directory } from "./support/directory.mts";
import { largeEventAt } from "./support/records.mts";
import { asOwner } from "./support/sqlite/layouts.mts";
import { atTerminal, CTRL_C, CTRL_D, noTerminal } from "./support/terminal.mts";

/** A file with session "a", of so many events. */
async function filled(t: TestContext, events: number): Promise<string> {
  const filename = path.join(directory(t), "store.db");
  const driver = new SQLiteSessionPersistDriver({ filename });
  await fill(driver, "a", events);
  await driver.close();
  return filename;
}

/** What is left of session "a". */
async function left(filename: string) {
  const driver = new SQLiteSessionPersistDriver({ filename });
  const count = await countOf(driver, "a");
  await driver.close();
  return count;
}

const WHOLE = { records: 1, events: 3, labels: 1 };

/** Each event that goes takes half a millisecond, and more. */
const SLOW = `CREATE TRIGGER slow BEFORE DELETE ON events BEGIN
  SELECT count(*) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n);
END`;

describe("at a terminal", { skip: noTerminal, concurrency: true }, () => {
  for (const [what, keys, code, says, after] of [
    ["y", "y\r", 0, /deleted a\r\n$/, NOTHING],
    ["n", "n\r", 1, /error: nothing was changed, since you did not agree\r\n$/, WHOLE],
    ["nothing", "\r", 1, /error: nothing was changed, since you did not agree\r\n$/, WHOLE],
    ["Ctrl-D", CTRL_D, 1, /\[y\/N\] \r\nerror: nothing was changed, since you did not agree\r\n$/, WHOLE],
    ["Ctrl-C", CTRL_C, 130, /\[y\/N\] \^C\r\n$/, WHOLE],
  ] as const) {
    test(`delete says what it deletes, and is answered: ${what}`, async (t) => {
      const filename = await filled(t, 3);
      const terminal = atTerminal(t, ["delete", "a", "--store", filename]);
      await terminal.until(
        /This deletes 1 session with 3 events \(\d+ B of JSON\) from .*store\.db\. Go on\? \[y\/N\] /,
      );
      terminal.type(keys);
      assert.equal(await terminal.ended, code);
      assert.match(terminal.shown(), says);
      assert.deepEqual(await left(filename), after);
    });
  }

  test("prune counts what it asks about, and does not ask where there is nothing to do", async (t) => {
    const filename = await filled(t, 3);
    const prune = ["prune", "--store", filename, "--label", "user=u1", "--keep-last-events"];
    const some = atTerminal(t, [...prune, "2"]);
    await some.until(
      /This deletes 1 event \(\d+ B of JSON\) of 1 session from .*, and keeps the newest 2 of each\. Go on/,
    );
    some.type("yes\r");
    assert.equal(await some.ended, 0);
    assert.deepEqual(await left(filename), { ...WHOLE, events: 2 });
    const none = atTerminal(t, [...prune, "2"]);
    assert.equal(await none.ended, 0);
    assert.match(none.shown(), /^0 events \(0 B of JSON\) of 0 sessions deleted from .*\r\n$/);
  });

  test("after a second it shows how far it is, at what rate, and how long it will take; Ctrl-C ends it", async (t) => {
    const filename = await filled(t, 6_000);
    asOwner(filename, (database) => database.exec(SLOW));
    const terminal = atTerminal(t, ["prune", "--store", filename, "--label", "user=u1", "--yes"], {
      env: { NO_COLOR: "1" },
    });
    await terminal.until(/[\d,]+\/6,000 events \([\d,]+\/s, \d+[sm] left\)/);
    terminal.type(CTRL_C);
    assert.equal(await terminal.ended, 130);
    assert.match(terminal.shown(), /ended; nothing is half done, run it again to go on\r\n$/);
    assert.doesNotMatch(terminal.shown(), COLOUR);
  });

  test("import shows how far the file is checked, before it asks", async (t) => {
    const cwd = directory(t);
    // Gigabytes of lines, which no machine goes through in a second. What is wrong with them does not matter.
    const lines = `{"event":${JSON.stringify(largeEventAt("s", 1, 2_000))}}\n`.repeat(1_000);
    const block = gzipSync(lines);
    const blocks = Math.ceil(4e9 / lines.length);
    writeFileSync(path.join(cwd, "large"), Buffer.concat([gzipSync(header), ...Array<Buffer>(blocks).fill(block)]));
    const terminal = atTerminal(t, ["import", "large", "--store", "store.db"], { cwd });
    await terminal.until(/[\d.]+ [kM]?B\/[\d.]+ MB \([\d.]+ [kM]?B\/s, \d+[smhd] left\)/);
    terminal.type(CTRL_C);
    assert.equal(await terminal.ended, 130);
    assert.match(terminal.shown(), /ended; nothing is half done, run it again to go on\r\n$/);
  });

  test("import shows how much it has read of a pipe", async (t) => {
    const store = path.join(directory(t), "store.db");
    // What prints goes on after Ctrl-C: a pipe that ends is another thing.
    const command = `(trap "" INT; while echo; do :; done) | "$0" "$@"`;
    const terminal = atTerminal(t, ["import", "-", "--store", store], { shell: command });
    await terminal.until(/[\d.]+ [kMG]B \([\d.]+ [kMG]?B\/s\)/);
    terminal.type(CTRL_C);
    assert.equal(await terminal.ended, 130);
  });

  test("a second Ctrl-C ends it at once, whatever it waits for", async (t) => {
    const filename = await filled(t, 3);
    const other = new Database(filename);
    t.after(() => other.close());
    other.exec("BEGIN IMMEDIATE");
    const terminal = atTerminal(t, ["delete", "a", "--store", filename]);
    await terminal.until(/Go on\?/);
    terminal.type("y\r");
    await terminal.until(/Go on\? \[y\/N\] y\r\n/);
    // Two that come at once may be one signal: as people do, it goes on until it is heard.
    const typing = setInterval(() => terminal.type(CTRL_C), 20);
    const code = await terminal.ended;
    clearInterval(typing);
    // Else it would wait for the lock, and say that others have it.
    assert.equal(code, 130);
    assert.doesNotMatch(terminal.shown(), /error:/);
    other.exec("ROLLBACK");
    other.close();
    assert.deepEqual(await left(filename), WHOLE);
  });

  test("the name of a file does nothing to a terminal", async (t) => {
    const filename = path.join(directory(t), "a\x1b[31m\x9b2J.db");
    const commands = [
      ["migrate", "--yes"],
      ["migrate", "--plan"],
      ["prune", "--idle-before", "1d", "--dry-run"],
      ["compact", "--dry-run"],
      ["sessions"],
    ];
    for (const command of commands) {
      const terminal = atTerminal(t, [...command, "--store", filename]);
      assert.equal(await terminal.ended, 0);
      assert.match(terminal.shown(), /a\ufffd\[31m\ufffd2J\.db/);
      assert.doesNotMatch(terminal.shown(), /[\x1b\x9b]/);
    }
  });

  test("a terminal that goes away ends what asks, and what follows, without a crash", async (t) => {
    const filename = await filled(t, 3);
    for (const [command, shown] of [
      ["delete", "Go on?"],
      ["tail", "chunk 3"],
    ] as const) {
      const arguments_ = [process.execPath, program, command, "a", "--store", filename];
      // What the signal of a terminal that has gone leaves as an exit code, where Python ends the terminal.
      const { stdout } = await promisify(execFile)("python3", ["-c", GONE, shown, ...arguments_]);
      assert.equal(Number(stdout), -constants.signals.SIGHUP, command);
    }
    assert.deepEqual(await left(filename), WHOLE);
  });

  test("help has colours, and none with NO_COLOR", async (t) => {
    const help = atTerminal(t, ["prune", "--help"]);
    assert.equal(await help.ended, 0);
    assert.match(help.shown(), COLOUR);
    const plain = atTerminal(t, ["prune", "-h"], { env: { NO_COLOR: "1" } });
    assert.equal(await plain.ended, 0);
    assert.doesNotMatch(plain.shown(), COLOUR);
  });
});

/** Runs a program at a terminal until that shows a text, closes it, and prints how the program has ended. */
const GONE = `
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
shown = b""
while sys.argv[1].encode() not in shown:
    shown += os.read(terminal, 4096)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`;

const COLOUR = /\x1b\[[0-9;]*m/;
