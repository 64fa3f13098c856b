/** The command line on SQLite, and what it says of wrong arguments. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { run } from "./support/command-line.mts";
import { directory } from "./support/directory.mts";
import { asOwner } from "./support/sqlite/layouts.mts";
import { commandLine } from "./suites/cli.mts";
import { newFile } from "./suites/cli/store.mts";

commandLine("SQLite", newFile);

test("wrong use is an error of one line, and 2; a store that is not there is 3", async (t) => {
  const cwd = directory(t);
  for (const [arguments_, code, message] of [
    [
      ["sessions", "--limitt", "3"],
      2,
      /^error: unexpected argument '--limitt' found; .*'--limit'.*\(--help says more\)\n$/,
    ],
    [["sessions", "--created-after", "soon"], 2, /^error: invalid value 'soon' .* write a date \(2026-01-31\)/],
    [["vacuum", "--store", "x", "--yes"], 3, /^error: there is no store at .*: name one with --store/],
    [
      ["vacuum", "--store", "mysql://x", "--yes"],
      2,
      /^error: --store must be the path of a file, or a URL that begins with postgres/,
    ],
    [
      ["sessions", "--store", ""],
      2,
      /^error: the store has an empty name: give --store or SANDBOX_AGENT_PERSIST_URL a path/,
    ],
    [["sessions", "--store", "."], 3, /^error: .* is a directory: name the file of a store in it with --store/],
    [["sessions", "--store", "/dev/null"], 3, /^error: \/dev\/null is no file: name that of a store with --store/],
    [["migrate", "--store", "/dev/null", "--yes"], 3, /^error: \/dev\/null is no file: /],
    [["sessions", "--limit", "x"], 2, /^error: invalid value 'x' for '--limit <N>': [a-z ]+ \(--help says more\)\n$/],
    [["--json"], 2, /^error: there is no command to run \(--help lists all commands\)\n$/],
    [[], 2, /^error: there is no command to run \(--help lists all commands\)\n$/],
    [["sessions"], 3, /^error: there is no store at .*sandbox-agent\.db: name one with --store/],
  ] as const) {
    const outcome = await run([...arguments_], { cwd });
    assert.match(outcome.stderr, message);
    assert.deepEqual([outcome.code, outcome.stdout, outcome.stderr.split("\n").length], [code, "", 2]);
  }
});
