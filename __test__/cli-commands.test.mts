/** What every command has: help with examples, and the options of all. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { run } from "./support/command-line.mts";

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
