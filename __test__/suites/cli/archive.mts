/** `export` and `import`: what goes out comes in again, to the byte, whatever ends an import in the middle. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

import { archive, type ArchivedSession } from "../../support/archive.mts";
import { objects, type Outcome, program, run } from "../../support/command-line.mts";
import { directory } from "../../support/directory.mts";
import { eventAt, sessionOf } from "../../support/records.mts";
import { slowDown } from "../../support/slow.mts";
import { openReader } from "../../support/storage.mts";
import { filled, type NewStore, type TestStore } from "./store.mts";

/** Sessions with whatever makes a text hard to keep. */
const odd: ArchivedSession[] = [
  {
    id: "a \u{1f600}",
    record:
      '{"id":"a 😀","agent":"mock","agentSessionId":"x\\"\\\\","lastConnectionId":"","createdAt":1,"destroyedAt":5,' +
      '"sessionInit":{"z":1,"a":{"\\u0000":"\\ud800"}},"modes":null,"new":[1e400,-0,"\\/"]}',
    labels: { __proto__x: "1", team: "ü" },
    events: [
      '{"id":"e1","eventIndex":1,"sessionId":"a 😀","createdAt":2,"connectionId":"c","sender":"client",' +
        '"payload":{"b":"\\u0000\\ud800","a":1e400,"a":0.10,"\\u0061":"\\/"}}',
      '{"id":"e1","eventIndex":7,"sessionId":"a 😀","createdAt":2,"connectionId":"c","sender":"agent",' +
        '"payload":null,"zz":{"y":[ 1 ,2],"x":"é\u2028"},"extra":-1.50}',
    ],
  },
  { id: "empty", record: JSON.stringify(sessionOf("empty", { createdAt: 2 })), events: [] },
  { id: "no record", events: [JSON.stringify(eventAt("no record", 0))] },
];

/** So many sessions of so many events. */
function many(sessions: number, events: number): ArchivedSession[] {
  return Array.from({ length: sessions }, (_, session) => {
    const id = `session ${String(session).padStart(3, "0")}`;
    return {
      id,
      record: JSON.stringify(sessionOf(id)),
      events: Array.from({ length: events }, (_, index) => JSON.stringify(eventAt(id, index + 1))),
    };
  });
}

async function exported({ store }: TestStore): Promise<string> {
  const outcome = await run(["export", "--store", store]);
  assert.deepEqual([outcome.code, outcome.stderr], [0, ""]);
  return outcome.stdout;
}

/** How many sessions and events an import has stored, how many sessions were there already, and how many were different. */
function counts(outcome: Outcome): number[] {
  const [{ sessions, events, unchanged, different }] = objects<Record<string, number>>(outcome);
  return [sessions, events, unchanged, different];
}

export function archives(newStore: NewStore): void {
  test("export: what was imported comes out equal to the byte, and a second import changes nothing", async (t) => {
    const [first, second] = [await newStore(t), await newStore(t)];
    const text = archive(odd);
    const folder = directory(t);
    const file = path.join(folder, "odd.jsonl.zst");
    const imported = await run(["import", "-", "--yes", "--json", "--store", first.store], { input: text });
    assert.equal(imported.code, 0, imported.stderr);
    assert.deepEqual(counts(imported), [3, 3, 0, 0]);
    assert.equal(await exported(first), text);

    for (const [name, unpack] of [
      ["odd.jsonl", (bytes: Buffer) => bytes],
      ["odd.jsonl.gz", gunzipSync],
      ["odd.jsonl.zst", undefined],
    ] as const) {
      const output = path.join(folder, name);
      const written = await run(["export", "--output", output, "--json", "--store", first.store]);
      assert.deepEqual([written.code, written.stderr], [0, ""]);
      assert.deepEqual(objects(written), [{ sessions: 3, events: 3, file: output }]);
      const bytes = readFileSync(output);
      if (unpack) assert.equal(unpack(bytes).toString(), text);
      else assert.equal(bytes.readUInt32LE(), 0xfd2fb528);
    }
    for (const expected of [
      [3, 3, 0, 0],
      [0, 0, 3, 0],
    ]) {
      const again = await run(["import", file, "--yes", "--json", "--store", second.store]);
      assert.equal(again.code, 0, again.stderr);
      assert.deepEqual(counts(again), expected);
      assert.equal(await exported(second), text);
    }
  });

  test("export: the sessions that are named or meet the filters, and nothing where one is not there", async (t) => {
    const made = await filled(t, newStore, async (driver) => {
      for (const agent of ["one", "two"]) {
        await driver.updateSession(sessionOf(agent, { agent }));
        await driver.insertEvent(agent, eventAt(agent, 1));
      }
    });
    const two = archive([
      {
        id: "two",
        record: JSON.stringify(sessionOf("two", { agent: "two" })),
        events: [JSON.stringify(eventAt("two", 1))],
      },
    ]);
    for (const which of [["two"], ["two", "two"], ["--agent", "two"], ["two", "--output", "-"]]) {
      assert.equal((await run(["export", ...which, "--store", made.store])).stdout, two);
    }
    const missing = await run(["export", "two", "three", "--store", made.store]);
    assert.deepEqual([missing.code, missing.stdout], [3, ""]);
    assert.match(missing.stderr, /^error: there is no session "three" .*\n$/);
  });

  test("import: a session that went on by itself stays as it is, and is told of", async (t) => {
    const made = await filled(t, newStore, async (driver) => {
      await driver.updateSession(sessionOf("s"));
      await driver.insertEvent("s", eventAt("s", 1, { id: "another" }));
    });
    const before = await exported(made);
    const others: ArchivedSession = { id: "t", record: JSON.stringify(sessionOf("t")), events: [] };
    const events = [JSON.stringify(eventAt("s", 1))];
    const input = archive([{ id: "s", record: JSON.stringify(sessionOf("s")), events }, others]);
    const outcome = await run(["import", "-", "--yes", "--store", made.store], { input });
    assert.equal(outcome.code, 1);
    assert.match(outcome.stdout, /^different: s: /);
    assert.match(outcome.stderr, /^error: 1 session of stdin cannot be imported into .*\n$/);
    assert.equal((await run(["export", "s", "--store", made.store])).stdout, before);
    assert.match(await exported(made), /^\{"end":\{"session":"t","events":0/m);
  });

  for (const [signal, code] of [
    ["SIGKILL", null],
    ["SIGINT", 130],
  ] as const) {
    test(`import: after ${signal} in the middle a second run finishes`, async (t) => {
      const made = await filled(t, newStore, (driver) => driver.ready());
      const undo = await slowDown(made, "INSERT");
      const text = archive(many(40, 250));
      const file = path.join(directory(t), "many.jsonl");
      writeFileSync(file, text);
      const child = spawn(process.execPath, [program, "import", file, "--yes", "--store", made.store], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      const ended = new Promise((resolve) => child.on("close", (...outcome) => resolve(outcome)));
      await firstSession(made);
      child.kill(signal);
      assert.deepEqual(await ended, [code, code === null ? signal : null]);
      await undo();
      // All there is of it is whole sessions, since each fits into a step: only the last line may be another, which counts them.
      const lines = new Set(text.split("\n"));
      const strange = (await exported(made)).split("\n").filter((line) => !lines.has(line));
      assert.ok(strange.length <= 1, strange.join("\n"));
      const again = await run(["import", file, "--yes", "--store", made.store]);
      assert.deepEqual([again.code, again.stderr], [0, ""]);
      assert.equal(await exported(made), readFileSync(file, "utf8"));
    });
  }
}

/** Waits until a session is in the store. */
async function firstSession({ storage }: TestStore): Promise<void> {
  const reader = openReader(storage);
  while ((await reader.listSessions({ limit: 1 })).items.length === 0);
  await reader.close();
}
