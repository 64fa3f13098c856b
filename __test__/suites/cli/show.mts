/** `show`: the transcript of a session. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";

import { SandboxAgent } from "sandbox-agent";

import { promptUntilStored } from "../../support/agent/prompt.mts";
import { startServer } from "../../support/agent/server.mts";
import { objects, program, run } from "../../support/command-line.mts";
import { sessionOf } from "../../support/records.mts";
import { openPersist } from "../../support/storage.mts";
import { atTerminal, noTerminal } from "../../support/terminal.mts";
import { asks, ends, eventsOf, everything, says, type Said } from "../../support/transcript.mts";
import { filled, type NewStore } from "./store.mts";

const transcript = `\
session s
  agent mock
  created 2023-11-14 22:13 UTC
  labels project=shop

client  begins the session in /work

user  2023-11-14 22:13:20
  Fix the test, please.

thought
  I look first.

plan
  [x] Look

tool  Edit sum.ts · edit · completed
  sum.ts (line 2: 1 removed, 1 added)
  - b - c
  + b + c

permission  Edit sum.ts · answered: Allow

tool  npm test · execute · failed
  input: {"command":"npm test"}
  0
  1
  2
  3
  4
  5
  6
  7
  8
  9
  10
  … 9 more lines: --full

agent
  One test fails still. I am sorry.

end of turn  1200 of 200000 tokens in use
settings  mode: plan

user  2023-11-14 22:13:20
  你好，世界。 👨‍👩‍👧 Go on?

permission  t1 · Allow or Reject?
error  session/prompt: out of tokens (-32603)
client  _vendor/thing {"a":1}
`;

/** A store with one session. */
async function storeOf(
  t: TestContext,
  newStore: NewStore,
  said: Said[],
): Promise<{ SANDBOX_AGENT_PERSIST_URL: string }> {
  const { store } = await filled(t, newStore, async (driver) => {
    await driver.updateSession(sessionOf("s"));
    await driver.setLabels("s", { project: "shop" });
    await Promise.all(eventsOf("s", said).map((event) => driver.insertEvent("s", event)));
  });
  return { SANDBOX_AGENT_PERSIST_URL: store };
}

/** How many columns of a terminal it takes. */
function width(line: string): number {
  const families = line.replaceAll("👨‍👩‍👧", "..");
  return [...families].reduce((columns, character) => columns + (/[\p{Script=Han}，。]/u.test(character) ? 2 : 1), 0);
}

export function show(newStore: NewStore): void {
  test("show: a transcript as people read it, its end, its entries as JSON, and the events as stored", async (t) => {
    const env = await storeOf(t, newStore, everything);
    const all = await run(["show", "s"], { env });
    assert.deepEqual([all.code, all.stderr, all.stdout], [0, "", transcript]);
    const full = await run(["show", "s", "--full"], { env });
    assert.match(full.stdout, /\n {2}18\n {2}19\n\nagent\n/);
    const last = await run(["show", "s", "--last", "4"], { env });
    const [head, tail] = last.stdout.split("… there is more before: without --last all of it is shown\n\n");
    assert.ok(transcript.startsWith(head!) && transcript.endsWith(tail!), last.stdout);
    assert.match(tail!, /^user {2}.*\n.*Go on\?\n/);
    const entries = objects<any>(await run(["show", "s", "--json"], { env }));
    assert.deepEqual(
      entries.map(({ type, firstIndex, lastIndex }) => [type, firstIndex, lastIndex]),
      [
        ["note", 1, 1],
        ["message", 3, 3],
        ["message", 4, 5],
        ["plan", 6, 13],
        ["toolCall", 7, 11],
        ["permission", 8, 9],
        ["toolCall", 10, 12],
        ["message", 14, 18],
        ["end", 17, 17],
        ["settings", 19, 19],
        ["message", 22, 22],
        ["permission", 23, 23],
        ["error", 24, 24],
        ["note", 25, 25],
      ],
    );
    assert.deepEqual(entries[5].outcome, { outcome: "selected", optionId: "yes" });
    assert.deepEqual(objects(await run(["show", "s", "--json", "--last", "4"], { env })), entries.slice(-4));
    const events = eventsOf("s", everything);
    assert.deepEqual(objects(await run(["show", "s", "--raw"], { env })), events);
    assert.deepEqual(objects(await run(["show", "s", "--raw", "--last", "2"], { env })), events.slice(-2));
  });

  test("show: what the real server's agent said", async (t) => {
    const { storage, store } = await newStore(t);
    const server = await startServer();
    t.after(server.cleanup);
    const persist = openPersist(storage);
    t.after(() => persist.close());
    const sdk = await SandboxAgent.connect({ baseUrl: server.baseUrl, persist });
    const session = await sdk.createSession({ agent: "mock" });
    session.onPermissionRequest((request) => void session.respondPermission(request.id, "once"));
    for (const prompt of ["Run npm test", "ask", "mode plan"]) await promptUntilStored(session, prompt);
    await sdk.dispose();
    await persist.flush();
    const { code, stdout, stderr } = await run(["show", session.id, "--store", store]);
    assert.deepEqual([code, stderr], [0, ""]);
    const times = stdout.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?/g, "TIME");
    assert.equal(
      times.slice(times.indexOf("\n\nuser")),
      `

user  TIME
  Run npm test

thought
  I run it first, and look at what it prints before I say anything.

tool  npm test · execute · completed

agent
  I ran npm test. It went through, and nothing is left to do.

end of turn

user  TIME
  ask

permission  Write hello.txt · Allow or Reject?

agent
  Permission: allow

end of turn

user  TIME
  mode plan

settings  mode: plan
end of turn
`,
    );
  });

  for (const columns of [80, 40]) {
    test(`show: at a terminal of ${columns} columns`, { skip: noTerminal }, async (t) => {
      const words = "你好世界 and these are words, ".repeat(9) + "👨‍👩‍👧".repeat(30) + "x".repeat(200);
      const env = await storeOf(t, newStore, [...everything, says(words), ends(4)]);
      const plain = atTerminal(t, ["show", "s"], { columns, env: { ...env, NO_COLOR: "1" } });
      assert.equal(await plain.ended, 0);
      const lines = plain.shown().split("\r\n");
      const widest = Math.max(...lines.map(width));
      assert.ok(widest <= columns && widest >= columns - 1, `${widest}: ${plain.shown()}`);
      assert.doesNotMatch(plain.shown(), /\x1b/);
      const colored = atTerminal(t, ["show", "s"], { columns, env });
      assert.equal(await colored.ended, 0);
      assert.notEqual(colored.shown(), plain.shown());
      assert.equal(colored.shown().replaceAll(/\x1b\[[\d;]*m/g, ""), plain.shown());
    });
  }

  test("show: what agents print does nothing to a terminal", { skip: noTerminal }, async (t) => {
    const evil = "a\x1b]0;title\x07\x1b[2J\x9b31m\x7f\u202eb\rc";
    const env = await storeOf(t, newStore, [
      asks(1, evil),
      says(evil),
      ["agent", { method: evil, params: { text: evil } }],
      ["agent", { method: "session/update", params: { update: { sessionUpdate: "tool_call", title: evil } } }],
    ]);
    for (const arguments_ of [[], ["--raw"], ["--json"], ["--full"]]) {
      const terminal = atTerminal(t, ["show", "s", ...arguments_], { env: { ...env, NO_COLOR: "1" } });
      assert.equal(await terminal.ended, 0);
      assert.doesNotMatch(terminal.shown().replaceAll("\r\n", ""), /[\x00-\x1f\x7f-\x9f\u202e]/, arguments_.join());
    }
    const texts = objects<any>(await run(["show", "s", "--raw"], { env }));
    assert.equal(texts[1].payload.params.update.content.text, evil);
  });

  test("show: the last 0 are none, as events too", async (t) => {
    const env = await storeOf(t, newStore, [asks(1, "x"), says("y")]);
    const none = await run(["show", "s", "--raw", "--last", "0"], { env });
    assert.deepEqual(none, { code: 0, stdout: "", stderr: "" });
    const one = await run(["show", "s", "--raw", "--last", "1"], { env });
    assert.equal(objects(one).length, 1);
  });

  test("show: what it cannot understand is cut where the line ends, and not before", async (t) => {
    let deep: Record<string, unknown> = {};
    for (let level = 0; level < 300; level += 1) deep = { deep };
    const env = await storeOf(t, newStore, [["agent", deep]]);
    const { stdout } = await run(["show", "s"], { env });
    assert.match(stdout, /\nagent {2}\{"jsonrpc":"2\.0",("deep":\{)+.*…\n$/);
    assert.equal(stdout.split("\n").at(-2)!.length, 100);
  });

  test("show: the last entries, where there are more than can be read from the end", async (t) => {
    const calls = Array.from({ length: 20_300 }, (_, n): Said => ["agent", { method: `m${n}` }]);
    const env = await storeOf(t, newStore, calls);
    const last = await run(["show", "s", "--json", "--last", "20250"], { env });
    const { length } = objects(last);
    assert.ok(length >= 20_000 && length < 20_250);
    assert.match(last.stderr, new RegExp(`^these are the last ${length} entries alone: `));
  });

  test("show: halves of surrogate pairs and what is no message are shown", async (t) => {
    const env = await storeOf(t, newStore, [asks(1, "x"), says("a\ud83d"), says("\\ud83d \ude00b")]);
    const { stdout } = await run(["show", "s", "--last", "1"], { env });
    assert.ok(stdout.endsWith("\nagent\n  a\ufffd\\ud83d \ufffdb\n"), stdout);
  });

  test("show: a session that is not there is 3, and nobody has to read all of it", async (t) => {
    const said = Array.from({ length: 2_000 }, (_, n) => asks(n, `${n} `.repeat(60)));
    const env = await storeOf(t, newStore, said);
    for (const arguments_ of [["no\nsuch"], ["no", "--raw"], ["no", "--last", "1"]]) {
      const { code, stdout, stderr } = await run(["show", ...arguments_], { env });
      assert.deepEqual([code, stdout], [3, ""]);
      assert.match(stderr, /^error: there is no session "no.*sandbox-agent-persist sessions.*\n$/);
    }
    const pipe = `set -o pipefail; "$0" "$1" show s | head -1; echo "$?"`;
    const head = await promisify(execFile)("bash", ["-c", pipe, process.execPath, program], {
      env: { ...process.env, ...env },
    });
    assert.deepEqual(head, { stdout: "session s\n0\n", stderr: "" });
  });
}
