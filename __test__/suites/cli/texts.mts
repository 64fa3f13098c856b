/** Texts of others, in ids, labels, cursors and names of files: they do nothing to a terminal or a shell. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

import { program, run, objects } from "../../support/command-line.mts";
import { sessionOf } from "../../support/records.mts";
import { atTerminal, noTerminal } from "../../support/terminal.mts";
import { filled, type NewStore } from "./store.mts";

const evil = "a'; echo owned; '\x1b[31m\x9b2J\u202e%41";

/** Without what ends a line. */
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u202e]/;

export function texts(newStore: NewStore): void {
  test("a cursor with an id that acts on a shell or a terminal does not, and is the one that goes on", async (t) => {
    const { store } = await filled(t, newStore, async (driver) => {
      await driver.updateSession(sessionOf(evil, { createdAt: 2 }));
      await driver.updateSession(sessionOf("older", { createdAt: 1 }));
    });
    const env = { SANDBOX_AGENT_PERSIST_URL: store };
    const { stderr } = await run(["sessions", "--limit", "1"], { env });
    const [, told] = /go on with (--cursor \S+), or/.exec(stderr)!;
    assert.doesNotMatch(stderr.trim(), CONTROLS);
    const command = `"$0" "$1" sessions --json ${told}`;
    const next = await promisify(execFile)("bash", ["-c", command, process.execPath, program], {
      env: { ...process.env, ...env },
    });
    assert.deepEqual(
      objects<{ id: string }>({ code: 0, ...next }).map(({ id }) => id),
      ["older"],
    );
    const wrong = await run(["sessions", "--cursor", "%ff"], { env });
    assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
  });

  test("JSON of labels and forks does nothing to a terminal", { skip: noTerminal }, async (t) => {
    const { store } = await filled(t, newStore, async (driver) => {
      await driver.updateSession(sessionOf("a", { agent: evil }));
      await driver.setLabels("a", { user: evil });
    });
    const env = { SANDBOX_AGENT_PERSIST_URL: store, NO_COLOR: "1" };
    for (const command of [
      ["label", "a"],
      ["fork", "a", "--yes"],
    ]) {
      const terminal = atTerminal(t, [...command, "--json"], { env });
      assert.equal(await terminal.ended, 0);
      assert.doesNotMatch(terminal.shown().trim(), CONTROLS);
      assert.ok(Object.values(JSON.parse(terminal.shown()) as object).includes(evil));
    }
  });

  test("a label that is given twice is refused: sessions with one of both would be deleted", async (t) => {
    const { store } = await filled(t, newStore, async (driver) => {
      await driver.updateSession(sessionOf("a"));
      await driver.setLabels("a", { user: "u2" });
    });
    const env = { SANDBOX_AGENT_PERSIST_URL: store };
    for (const command of [
      ["prune", "--yes", "--label", "user=u1", "--label", "user=u2"],
      ["sessions", "--label", "user=u1", "--label", "user=u2"],
      ["label", "a", "--yes", "user=u1", "user="],
    ]) {
      const { code, stdout, stderr } = await run(command, { env });
      assert.match(stderr, /^error: the label "user" is given twice, .*\n$/);
      assert.deepEqual([code, stdout], [2, ""]);
    }
    assert.equal((await run(["label", "a"], { env })).stdout, "user=u2\n");
  });
}
