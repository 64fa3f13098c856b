/** `tail`: follows a session. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { run } from "../../support/command-line.mts";
import { sessionOf } from "../../support/records.mts";
import { openPersist } from "../../support/storage.mts";
import { atTerminal, CTRL_C, noTerminal } from "../../support/terminal.mts";
import { asks, ends, eventsOf, says, update } from "../../support/transcript.mts";
import { filled, type NewStore } from "./store.mts";

const events = eventsOf("s", [
  asks(1, "old"),
  says("said before"),
  ends(1),
  asks(2, "go"),
  says("It "),
  says("works"),
  update("tool_call", { toolCallId: "t", title: "npm test", status: "in_progress" }),
  update("tool_call_update", { toolCallId: "t", status: "completed" }),
  says("."),
  ends(2),
]);

export function tail(newStore: NewStore): void {
  test("tail: prints what is said, as it comes, until the session is deleted", { skip: noTerminal }, async (t) => {
    const { storage, store } = await filled(t, newStore, async (driver) => {
      await driver.updateSession(sessionOf("s"));
      for (const event of events.slice(0, 3)) await driver.insertEvent("s", event);
    });
    const env = { SANDBOX_AGENT_PERSIST_URL: store, NO_COLOR: "1" };
    const people = atTerminal(t, ["tail", "s", "--last", "2"], { columns: 40, env });
    const json = atTerminal(t, ["tail", "s", "--json", "--after", "3"], { columns: 40, env });
    const driver = openPersist(storage);
    t.after(() => driver.close());
    await people.until(/^agent\r\n {2}said before\r\n\r\nend of turn\r\n$/);
    for (const event of events.slice(3, 5)) await driver.insertEvent("s", event);
    // A line that has begun is shown.
    await people.until(/go\r\n\r\nagent\r\n {2}It$/);
    for (const event of events.slice(5)) await driver.insertEvent("s", event);
    await people.until(/It works\r\n\r\ntool {2}npm test · in progress\r\n/);
    await people.until(/· completed\r\n\r\nagent\r\n {2}\.\r\n\r\nend of turn\r\n$/);
    await json.until(/"eventIndex":10/);
    await driver.deleteSession("s");
    assert.deepEqual([await people.ended, await json.ended], [0, 0]);
    const printed = json.shown().split("\r\n").filter(Boolean);
    assert.deepEqual(
      printed.map((line) => JSON.parse(line)),
      events.slice(3),
    );
    const { code } = await run(["tail", "s"], { env });
    assert.equal(code, 3);
  });

  test("tail: Ctrl-C ends it, and nothing is wrong", { skip: noTerminal }, async (t) => {
    const { store } = await filled(t, newStore, async (driver) => {
      for (const event of events) await driver.insertEvent("s", event);
    });
    const terminal = atTerminal(t, ["tail", "s", "--last", "1", "--json"], {
      env: { SANDBOX_AGENT_PERSIST_URL: store },
    });
    await terminal.until(/"eventIndex":10.*\r\n/);
    terminal.type(CTRL_C);
    assert.equal(await terminal.ended, 130);
    assert.match(terminal.shown(), /^\{.*\}\r\n(\^C)?ended\r\n$/);
  });
}
