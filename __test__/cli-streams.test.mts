/** What the command line does when its streams are full, closed or slow, and when there is no addon. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";

import { SQLiteSessionPersistDriver } from "../index.js";
import { program, run } from "./support/command-line.mts";
import { sessionOf } from "./support/records.mts";
import { noTerminal } from "./support/terminal.mts";

/** More than a pipe holds. */
const SESSIONS = 1_000;

const folder = mkdtempSync(path.join(tmpdir(), "sandbox-agent-persist-"));
after(() => rmSync(folder, { recursive: true }));
const store = path.join(folder, "store.db");
before(async () => {
  const driver = new SQLiteSessionPersistDriver({ filename: store });
  await Promise.all(
    Array.from({ length: SESSIONS }, (_, number) => driver.updateSession(sessionOf(`session-${number}`))),
  );
  await driver.close();
});

const list = () => [program, "sessions", "--json", "--limit", String(SESSIONS), "--store", store];

test("a full disk is an error", { skip: !existsSync("/dev/full") && "there is no /dev/full" }, async () => {
  for (const arguments_ of [list(), [program, "--help"], [program, "completions", "fish"]]) {
    const full = openSync("/dev/full", "w");
    const child = spawn(process.execPath, arguments_, { stdio: ["ignore", full, "pipe"] });
    closeSync(full);
    const ended = new Promise((resolve) => child.on("close", resolve));
    assert.match(await text(child.stderr!), /^error: writing the output failed: .*\n$/);
    assert.equal(await ended, 1);
  }
});

test("nobody reads stdout, or stderr: no error, and no crash", async () => {
  for (const [stream, arguments_, code] of [
    ["stdout", list(), 0],
    ["stderr", [program, "vacuum", "--store", "absent", "--yes"], 3],
    ["stderr", [program, "vacuuum"], 2],
  ] as const) {
    const child = spawn(process.execPath, arguments_);
    child[stream].destroy();
    const other = stream === "stdout" ? child.stderr : child.stdout;
    const ended = new Promise((resolve) => child.on("close", resolve));
    assert.equal(await text(other), "");
    assert.equal(await ended, code);
  }
});

// Reads only when the pipe is full, so that the next write would block.
const NON_BLOCKING = `
import fcntl, os, select, subprocess, sys
ours, theirs = os.pipe()
fcntl.fcntl(theirs, fcntl.F_SETFL, fcntl.fcntl(theirs, fcntl.F_GETFL) | os.O_NONBLOCK)
child = subprocess.Popen(sys.argv[1:], stdout=theirs)
while child.poll() is None and select.select([], [theirs], [], 0)[1]:
    pass
os.close(theirs)
while True:
    read = os.read(ours, 1 << 16)
    if not read:
        break
    sys.stdout.buffer.write(read)
sys.exit(child.wait())
`;

test("a pipe that does not block gets everything", { skip: noTerminal }, async () => {
  for (const [command, lines] of [
    [list(), SESSIONS],
    // Each session has two lines, and the file has one more at either end.
    [[program, "export", "--store", store], 2 * SESSIONS + 2],
  ] as const) {
    const child = spawn("python3", ["-c", NON_BLOCKING, process.execPath, ...command]);
    const ended = new Promise((resolve) => child.on("close", resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    assert.equal(stderr, "");
    assert.equal(await ended, 0);
    assert.equal(stdout.split("\n").length, lines + 1);
  }
});

test("without an addon for this machine: one line, and 1", async () => {
  const outcome = await run(["sessions"], { env: { NAPI_RS_NATIVE_LIBRARY_PATH: "/absent.node" } });
  assert.match(outcome.stderr, /^error: \/absent\.node could not be loaded: .*\n$/);
  assert.deepEqual([outcome.code, outcome.stdout], [1, ""]);
});
