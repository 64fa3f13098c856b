/** What every command has: help with examples, the options of all, and completions in a shell. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";

import { run } from "./support/command-line.mts";
import { directory } from "./support/directory.mts";

const { stdout: help } = await run(["--help"]);
const commands = [
  ...help
    .split("Commands:")[1]!
    .split(/^\S/m)[0]!
    .matchAll(/^ {2}(\S+) /gm),
].map(([, name]) => name!);

/** Those that only read. All others change something, or write a file that is asked for. */
const READING = ["sessions", "show", "tail", "stats", "export", "check", "completions"];

describe("every command", { concurrency: true }, () => {
  test("the help names all of them", () => assert.ok(commands.length > 15, commands.join(" ")));

  for (const command of commands) {
    test(`${command}: help with examples that begin with its name, and the options of all`, async () => {
      const { code, stdout, stderr } = await run([command, "--help"]);
      assert.deepEqual([code, stderr], [0, ""]);
      const examples = stdout.split(/^Examples:$/m)[1]!;
      assert.match(examples, new RegExp(`sandbox-agent-persist .*(${command}|doctor)`));
      for (const option of ["--json", "--store", "--table-prefix"]) assert.ok(stdout.includes(`  ${option}`), option);
      assert.equal(stdout.includes("--yes"), !READING.includes(command), "what changes something can be agreed to");
      assert.equal((await run([command, "-h"])).code, 0);
    });
  }
});

const isThere = (shell: string) => spawnSync(shell, ["-c", ":"]).status === 0;

describe("completions", { concurrency: true }, () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    test(`${shell} takes the script`, { skip: !isThere(shell) && `there is no ${shell}` }, async (t) => {
      const { code, stdout } = await run(["completions", shell]);
      assert.equal(code, 0);
      for (const command of commands) assert.ok(stdout.includes(command), command);
      const script = path.join(directory(t), "script");
      writeFileSync(script, stdout);
      await promisify(execFile)(shell, ["-n", script]);
    });
  }

  test("bash completes commands and their options", { skip: !isThere("bash") && "there is no bash" }, async () => {
    const complete = async (...words: string[]) => {
      const command = `eval "$script"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        function=$(complete -p sandbox-agent-persist | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
        $function sandbox-agent-persist "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"; echo "\${COMPREPLY[@]}"`;
      const { stdout: script } = await run(["completions", "bash"]);
      const env = { PATH: process.env["PATH"], script };
      const { stdout } = await promisify(execFile)("bash", ["-c", command, "bash", ...words], { env });
      return stdout.trim().split(" ");
    };
    assert.deepEqual(await complete("sandbox-agent-persist", "pru"), ["prune"]);
    assert.deepEqual(await complete("sandbox-agent-persist", "prune", "--keep"), ["--keep-last-events"]);
  });
});
