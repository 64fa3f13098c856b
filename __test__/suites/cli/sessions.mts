/** `sessions`: what it prints. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { objects, run } from "../../support/command-line.mts";
import { eventAt, sessionOf } from "../../support/records.mts";
import { atTerminal, noTerminal } from "../../support/terminal.mts";
import { filled, type NewStore } from "./store.mts";

const id = "0b5c7e1c-5c1a-4c1e-9d4e-1f2a3b4c5d6e";
const old = sessionOf("old", { createdAt: 1_000, sandboxId: "local/1", destroyedAt: 90_000 });
const recent = sessionOf(id, { createdAt: 86_400_000, agent: "claude" });

export function sessions(newStore: NewStore): void {
  const fill: Parameters<typeof filled>[2] = async (driver) => {
    await driver.updateSession(old);
    await driver.updateSession(recent);
    await driver.setLabels(id, { project: "shop", team: "\x1b[31m你好" });
    for (const index of [1, 2]) await driver.insertEvent("old", eventAt("old", index, { createdAt: index * 60_000 }));
  };

  test("sessions: all that is known of them as a table, the records as JSON, and how one goes on", async (t) => {
    const { store } = await filled(t, newStore, fill);
    const env = { SANDBOX_AGENT_PERSIST_URL: store };
    const table = await run(["sessions"], { env });
    assert.deepEqual(
      table.stdout.split("\n").map((line) => line.split(/ {2,}/)),
      [
        ["id", "agent", "last event (UTC)", "created (UTC)", "labels", "destroyed (UTC)", "sandbox"],
        [id, "claude", "1970-01-02 00:00", "project=shop team=\ufffd[31m你好"],
        ["old", "mock", "1970-01-01 00:02", "1970-01-01 00:00", "1970-01-01 00:01", "local/1"],
        [""],
      ],
    );
    const json = await run(["sessions", "--json"], { env });
    assert.deepEqual([json.code, json.stderr], [0, ""]);
    assert.deepEqual(objects(json), [recent, old]);

    const first = await run(["sessions", "--json", "--limit", "1"], { env });
    assert.deepEqual(objects(first), [recent]);
    const cursor = /^there are more: go on with --cursor (\S+), or with a larger --limit\n$/.exec(first.stderr)![1]!;
    const second = await run(["sessions", "--json", "--limit", "1", "--cursor", cursor], { env });
    assert.deepEqual([objects(second), second.stderr], [[old], ""]);
  });

  test("sessions: each filter", async (t) => {
    const { store } = await filled(t, newStore, fill);
    const found = async (...filter: string[]) =>
      objects<{ id: string }>(await run(["sessions", "--json", ...filter, "--store", store])).map(
        (session) => session.id,
      );
    assert.deepEqual(
      await Promise.all([
        found("--agent", "claude"),
        found("--sandbox", "local/1"),
        found("--destroyed"),
        found("--alive"),
        found("--created-after", "1970-01-01T12:00:00"),
        found("--created-before", "1970-01-01T12:00:00"),
        found("--label", "project=shop"),
        found("--first", "oldest"),
      ]),
      [[id], ["old"], ["old"], [id], [id], ["old"], [id], ["old", id]],
    );
    const none = await run(["sessions", "--agent", "nobody", "--store", store]);
    assert.deepEqual([none.code, none.stdout], [0, ""]);
    assert.match(none.stderr, /^there are no such sessions in /);
  });

  test("sessions: columns that fit a terminal of 80 columns, and blocks in 40", { skip: noTerminal }, async (t) => {
    const { store } = await filled(t, newStore, fill);
    const at = async (columns: number) => {
      const terminal = atTerminal(t, ["sessions"], { columns, env: { SANDBOX_AGENT_PERSIST_URL: store } });
      assert.equal(await terminal.ended, 0);
      return terminal.shown().split("\r\n");
    };
    const wide = await at(80);
    assert.deepEqual(wide[0]!.trim().split(/ {2,}/), ["id", "agent", "last event (UTC)", "created (UTC)"]);
    assert.ok(wide.every((line) => line.length <= 80) && wide.length === 4, wide.join("\n"));
    const narrow = await at(40);
    assert.deepEqual(narrow.slice(0, 3), [id, "  agent             claude", "  created (UTC)     1970-01-02 00:00"]);
    assert.ok(narrow.every((line) => line.length <= 40));
  });
}
