/** What `completions` prints does its work in a shell: commands, options and values are completed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { run } from "./support/command-line.mts";
import { directory } from "./support/directory.mts";

/** What is typed, and what it may go on with, among others. */
const COMPLETED: [typed: string, expected: string[]][] = [
  ["s", ["sessions", "show", "stats"]],
  ["doc", ["doctor"]],
  ["sessions --l", ["--label", "--limit"]],
  ["--store a.db prune --idle", ["--idle-before"]],
  ["sessions --first ", ["newest", "oldest"]],
  ["export --compress ", ["gz", "zst"]],
  ["show --store the-sto", ["the-store.db"]],
];

/** Writes the script for this shell, beside a store that can be completed. */
async function script(t: TestContext, shell: string): Promise<string> {
  const folder = directory(t);
  writeFileSync(join(folder, "the-store.db"), "");
  const { code, stdout, stderr } = await run(["completions", shell]);
  assert.equal(code, 0, stderr);
  writeFileSync(join(folder, "script"), stdout);
  return folder;
}

/** Runs a shell, and gives the lines that it has printed. */
function linesOf(cwd: string, shell: string, arguments_: string[]): string[] {
  const { status, stdout, stderr } = spawnSync(shell, arguments_, { cwd, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.equal(stderr, "");
  return stdout.split("\n").filter(Boolean);
}

const missing = (shell: string) => spawnSync(shell, ["--version"]).status !== 0 && `there is no ${shell}`;

test("bash completes commands, options and values", { skip: missing("bash") }, async (t) => {
  const folder = await script(t, "bash");
  // As bash calls what `complete -F` names: with the command, the word and the one before it.
  const ask = `
    source ./script
    function=$(complete -p sandbox-agent-persist | grep -o -- '-F [^ ]*')
    COMP_WORDS=(sandbox-agent-persist "$@") COMP_CWORD=$#
    "\${function#-F }" sandbox-agent-persist "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  for (const [typed, expected] of COMPLETED) {
    const completed = linesOf(folder, "bash", ["--norc", "-c", ask, "bash", ...typed.split(" ")]);
    assert.deepEqual(completed, expected, typed);
  }
});

test("fish completes commands, options and values", { skip: missing("fish") }, async (t) => {
  const folder = await script(t, "fish");
  for (const [typed, expected] of COMPLETED) {
    const ask = "source ./script; complete --do-complete $argv";
    const lines = linesOf(folder, "fish", ["--no-config", "-c", ask, `sandbox-agent-persist ${typed}`]);
    const completed = lines.map((line) => line.split("\t")[0]!);
    assert.deepEqual(completed.sort(), expected, typed);
  }
});

// zsh runs what stands after the second colon, be it the word of a help text.
test("zsh completes each value by a function, or by a list", async (t) => {
  const folder = await script(t, "zsh");
  const lines = readFileSync(join(folder, "script"), "utf8").split("\n");
  const values = lines.filter((line) => /^'\S*=\[/.test(line)).map((line) => line.replaceAll("\\:", ""));
  assert.ok(values.length > 20);
  for (const line of values) assert.match(line, /^[^:]+:[^:]+:(_\w+'|\()/);
});
