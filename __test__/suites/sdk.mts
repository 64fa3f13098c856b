/**
 * The SDK on the real server, the suite that every driver runs: everything the agent says is stored, sessions are resumed
 * by other processes, the server and the program are killed, two processes share one session.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

import { SandboxAgent, type SessionEvent } from "sandbox-agent";

import { promptUntilStored, textsOf } from "../support/agent/prompt.mts";
import { findServerBinary, makeAgentHome, startServer } from "../support/agent/server.mts";
import { ProcessGroup } from "../support/process-group.mts";
import { openPersist, openReader, type Storage } from "../support/storage.mts";

// A wait that would never end fails the test instead.
const timeout = 120_000;

/**
 * Keeps what has to be undone when the test is over, and undoes it, the last thing first. A test that ran out of time
 * may still be starting things: those are undone at once.
 */
function undoing(t: TestContext): (undo: () => unknown) => void {
  const undos: (() => unknown)[] = [];
  let over = false;
  t.after(async () => {
    over = true;
    const errors: unknown[] = [];
    for (const undo of undos.reverse()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    assert.deepEqual(errors, []);
  });
  return (undo) => (over ? void undo() : undos.push(undo));
}

export type Undoing = ReturnType<typeof undoing>;

export function makeDirectory(atEnd: Undoing): string {
  const directory = mkdtempSync(join(tmpdir(), "persist-sdk-"));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The server, the driver and the SDK. `end` ends them early. */
async function startAll(atEnd: Undoing, storage: Storage) {
  const server = await startServer();
  atEnd(server.cleanup);
  const persist = openPersist(storage);
  const sdk = await SandboxAgent.connect({ baseUrl: server.baseUrl, persist });
  const end = async () => {
    // `dispose` first, or the SDK could take the server's death for an error that nobody handles. But it would wait two
    // seconds for an answer that this server does not give while it has an agent.
    const disposed = sdk.dispose();
    await server.kill();
    await disposed;
    await persist.close();
  };
  atEnd(end);
  return { server, persist, sdk, end };
}

/** All events of a session, read by a driver of its own. */
async function readEvents(storage: Storage, sessionId: string): Promise<SessionEvent[]> {
  await using persist = openReader(storage);
  const events: SessionEvent[] = [];
  let cursor: string | undefined;
  do {
    const page = await persist.listEvents({ sessionId, cursor, limit: 500 });
    events.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor);
  return events;
}

function assertDense(events: SessionEvent[]): void {
  assert.deepEqual(
    events.map((event) => event.eventIndex),
    events.map((_, position) => position + 1),
  );
}

function methodsOf(events: SessionEvent[]): string[] {
  return events.map((event) => (event.payload as any).method ?? "response");
}

/** Runs the suite. `makeStorage` says where the sessions of one test are kept. */
export function sdkSuite(name: string, makeStorage: (atEnd: Undoing) => Storage): void {
  test(
    `${name}: 2,000 updates of an agent are stored in order, just as the listeners saw them`,
    { timeout },
    async (t) => {
      const atEnd = undoing(t);
      const storage = makeStorage(atEnd);
      const { sdk, end } = await startAll(atEnd, storage);
      const heard: SessionEvent[] = [];
      // Before the session is there, since its first two events are stored before it is.
      sdk.onSessionEvent("long", (event) => heard.push(structuredClone(event)));

      const session = await sdk.createSession({ agent: "mock", id: "long" });
      await promptUntilStored(session, "stream 2000");
      await end();

      const stored = await readEvents(storage, "long");
      assert.deepEqual(methodsOf(stored.slice(0, 3)), ["session/new", "response", "session/prompt"]);
      assert.equal(stored.length, 2 + 1 + 2000 + 1);
      assertDense(stored);
      assert.deepEqual(
        textsOf(stored),
        Array.from({ length: 2000 }, (_, position) => `${position + 1} of 2000`),
      );
      assert.deepEqual(heard, stored);
    },
  );

  test(`${name}: a request for permission is stored, and the agent gets the answer`, { timeout }, async (t) => {
    const atEnd = undoing(t);
    const storage = makeStorage(atEnd);
    const { sdk, end } = await startAll(atEnd, storage);

    const session = await sdk.createSession({ agent: "mock", id: "careful" });
    const titles: unknown[] = [];
    session.onPermissionRequest((request) => {
      titles.push(request.toolCall.title);
      void session.respondPermission(request.id, "reject");
    });
    await promptUntilStored(session, "ask");
    await end();

    assert.deepEqual(titles, ["Write hello.txt"]);
    const stored = await readEvents(storage, "careful");
    const requests = stored.filter((event) => (event.payload as any).method === "session/request_permission");
    assert.deepEqual(
      requests.map((event) => [event.sender, (event.payload as any).params.toolCall.title]),
      [["agent", "Write hello.txt"]],
    );
    assert.deepEqual(textsOf(stored), ["Permission: reject"]);
    assertDense(stored);
  });

  test(
    `${name}: a change of mode or model, by the agent or by the user, is in the session's record`,
    { timeout },
    async (t) => {
      const atEnd = undoing(t);
      const storage = makeStorage(atEnd);
      const { sdk, persist } = await startAll(atEnd, storage);
      const session = await sdk.createSession({ agent: "mock", id: "modal" });
      const created = await persist.getSession("modal");
      assert.equal(created?.modes?.currentModeId, "code");

      await promptUntilStored(session, "mode plan");
      const planned = await persist.getSession("modal");
      assert.deepEqual(planned, { ...created, modes: { ...created.modes, currentModeId: "plan" } });

      await session.setMode("code");
      assert.deepEqual(await persist.getSession("modal"), created);

      await session.setModel("large");
      const enlarged = await persist.getSession("modal");
      assert.deepEqual(enlarged, {
        ...created,
        configOptions: [{ ...created.configOptions![0], currentValue: "large" }],
      });
    },
  );

  test(
    `${name}: a destroyed session is resumed by a new process, and the agent gets its history`,
    { timeout },
    async (t) => {
      const atEnd = undoing(t);
      const storage = makeStorage(atEnd);
      const { sdk, persist, end } = await startAll(atEnd, storage);

      const session = await sdk.createSession({ agent: "mock", id: "phoenix" });
      const said = await promptUntilStored(session, "The password is swordfish.");
      assert.deepEqual(textsOf(said), ["I received no history."]);
      const cancelled = new Promise<void>((resolve) => {
        session.onEvent((event) => (event.payload as any).method === "session/cancel" && resolve());
      });
      await sdk.destroySession("phoenix");
      // Destroying cancels what the agent is at. That is an event too, and `destroySession` does not wait for it.
      await cancelled;
      const destroyed = await persist.getSession("phoenix");
      assert.equal(typeof destroyed?.destroyedAt, "number");
      await end();
      const history = await readEvents(storage, "phoenix");

      const server = await startServer();
      atEnd(server.cleanup);
      const program = new ProcessGroup(atEnd, "sdk-resume.mts", [
        server.baseUrl,
        JSON.stringify(storage),
        "phoenix",
        "What was the password?",
      ]);
      const resumed = await program.next("resumed");
      assert.equal(await program.finished(), "");

      // What went to the agent is the whole history, event by event, and then the prompt.
      const [replay, prompt] = resumed.blocks;
      assert.deepEqual(prompt, { type: "text", text: "What was the password?" });
      assert.deepEqual(
        replay.text
          .trimEnd()
          .split("\n")
          .slice(1)
          .map((line: string) => JSON.parse(line)),
        history.map(({ createdAt, sender, payload }) => ({ createdAt, sender, payload })),
      );
      // And it arrived.
      assert.deepEqual(resumed.said, [
        `I received ${history.length} messages of history, ${replay.text.length} characters. ` +
          `Before this you said: "The password is swordfish.".`,
      ]);

      const { destroyedAt, agentSessionId, lastConnectionId, ...kept } = destroyed!;
      assert.equal("destroyedAt" in resumed.record, false);
      assert.notEqual(resumed.record.agentSessionId, agentSessionId);
      assert.notEqual(resumed.record.lastConnectionId, lastConnectionId);
      const { agentSessionId: _, lastConnectionId: __, ...keptThen } = resumed.record;
      assert.deepEqual(keptThen, kept);

      const after = await readEvents(storage, "phoenix");
      assert.deepEqual(after.slice(0, history.length), history);
      assertDense(after);
    },
  );

  test(
    `${name}: a session is forked where it was right, and goes on from there, with the history up to there`,
    { timeout },
    async (t) => {
      const atEnd = undoing(t);
      const storage = makeStorage(atEnd);
      const { sdk, persist } = await startAll(atEnd, storage);
      const trunk = await sdk.createSession({ agent: "mock", id: "trunk" });
      await promptUntilStored(trunk, "The password is swordfish.");
      const right = await readEvents(storage, "trunk");
      await promptUntilStored(trunk, "The password is tuna.");
      const before = await readEvents(storage, "trunk");

      const { id } = await persist.forkSession("trunk", { throughIndex: right.at(-1)!.eventIndex });
      const branch = await sdk.resumeSession(id);
      const [said] = textsOf(await promptUntilStored(branch, "What is the password?"));
      assert.match(said!, new RegExp(`^I received ${right.length} messages of history, `));
      assert.match(said!, /Before this you said: "The password is swordfish\."\.$/);

      const forked = await readEvents(storage, id);
      assertDense(forked);
      assert.deepEqual(
        forked.slice(0, right.length),
        right.map((event, at) => ({ ...event, id: forked[at]!.id, sessionId: id })),
      );
      assert.deepEqual(textsOf(forked).at(-1), said);
      assert.deepEqual(await readEvents(storage, "trunk"), before);
      assert.deepEqual(textsOf(await promptUntilStored(trunk, "stream 1")), ["1 of 1"]);
      assert.deepEqual(await readEvents(storage, id), forked);
    },
  );

  test(
    `${name}: a resumed agent is told half a sentence, and whole turns once the session is compacted`,
    { timeout },
    async (t) => {
      const atEnd = undoing(t);
      const storage = makeStorage(atEnd);
      const { server, sdk, persist } = await startAll(atEnd, storage);
      const session = await sdk.createSession({ agent: "mock", id: "talkative" });
      for (const task of ["Run npm test", "Run npm publish"]) await promptUntilStored(session, task);
      // What an agent says may be stored after the answer that ends its turn. Of a session that was destroyed all turns are over.
      await sdk.destroySession("talkative");

      /** What a new process tells the agent of the session, but for answers: a text for each message. */
      const told = async (id: string): Promise<string[]> => {
        const parameters = [server.baseUrl, JSON.stringify(storage), id, "What did we do?"];
        const program = new ProcessGroup(atEnd, "sdk-resume.mts", parameters);
        const { blocks } = await program.next("resumed");
        await program.finished();
        const lines: string[] = blocks[0].text.split("\n").filter((line: string) => line.startsWith("{"));
        return lines.flatMap((line) => {
          const { payload } = JSON.parse(line);
          const { update } = payload.params ?? {};
          return payload.params?.prompt?.at(-1).text ?? update?.content?.text ?? update?.title ?? update?.status ?? [];
        });
      };

      const { id } = await persist.forkSession("talkative");
      await persist.updateSession({ ...(await persist.getSession(id))!, destroyedAt: Date.now() });
      await persist.compactSession(id);

      const before = await told("talkative");
      assert.deepEqual(before.slice(0, 4), ["say ", "anything.", "npm test", "completed"]);
      assert.ok(!before.includes("Run npm test"));

      const after = (await told(id)).join("|");
      for (const what of ["npm test", "npm publish"]) {
        const thought = "I run it first, and look at what it prints before I say anything.";
        const turn = [
          `Run ${what}`,
          thought,
          what,
          "completed",
          `I ran ${what}. It went through, and nothing is left to do.`,
        ];
        assert.ok(after.replaceAll(" |", " ").includes(turn.join("|")), after);
      }
    },
  );

  test(
    `${name}: a program and its local() server are killed, and a new program brings both back`,
    { timeout },
    async (t) => {
      const atEnd = undoing(t);
      const directory = makeDirectory(atEnd);
      const storage = makeStorage(atEnd);
      const home = makeAgentHome();
      atEnd(home.remove);
      // The SDK keeps the server's process to itself, so this tells us its id. And the server must not call home.
      const pids = join(directory, "pids");
      const binary = join(directory, "server");
      writeFileSync(binary, `#!/bin/sh\necho $$ >>'${pids}'\nexec '${findServerBinary()}' "$@" --no-telemetry\n`, {
        mode: 0o755,
      });
      const env = { SERVER_BINARY: binary, SERVER_ENV: JSON.stringify(home.env) };
      const readPids = () => readFileSync(pids, "utf8").trim().split("\n").map(Number);

      const first = new ProcessGroup(atEnd, "sdk-local.mts", ["create", JSON.stringify(storage), "local"], env);
      const { sandboxId } = await first.next("created");
      assert.match(sandboxId, /^local\/127\.0\.0\.1:\d+$/);
      const acknowledged: any[] = [];
      while (acknowledged.length < 300) acknowledged.push(await first.next("stored"));
      // In the middle of a stream: the server, and with it the program. (Without the second signal the program dies too: the
      // SDK leaves the broken connection as an unhandled rejection.)
      process.kill(readPids()[0]!, "SIGKILL");
      await first.kill("SIGKILL");
      acknowledged.push(...first.rest("stored"));

      const history = await readEvents(storage, "local");
      assertDense(history);
      const places = new Map(history.map((event) => [event.id, event.eventIndex]));
      for (const { id, eventIndex } of acknowledged) assert.equal(places.get(id), eventIndex);

      const second = new ProcessGroup(atEnd, "sdk-local.mts", ["resume", JSON.stringify(storage), "local"], env);
      const resumed = await second.next("resumed");
      await second.finished();
      assert.equal(resumed.before.sandboxId, sandboxId);
      assert.equal(resumed.after.sandboxId, sandboxId);
      assert.equal(resumed.sandboxId, sandboxId);
      assert.match(resumed.said[0], /^I received 50 messages of history/);
      assert.equal(readPids().length, 2, "one server was started by each program");
      const after = await readEvents(storage, "local");
      assert.deepEqual(after.slice(0, history.length), history);
      assertDense(after);
    },
  );

  test(
    `${name}: two processes prompt one session at once, and every event of both is stored once`,
    { timeout },
    async (t) => {
      const atEnd = undoing(t);
      const storage = makeStorage(atEnd);
      const { server, sdk } = await startAll(atEnd, storage);
      const session = await sdk.createSession({ agent: "mock", id: "shared" });
      await promptUntilStored(session, "stream 10");
      const before = await readEvents(storage, "shared");

      const prompts = 6;
      const updates = 60;
      const start = (label: string) =>
        new ProcessGroup(atEnd, "sdk-prompter.mts", [
          server.baseUrl,
          JSON.stringify(storage),
          "shared",
          label,
          `${prompts}`,
          `${updates}`,
        ]);
      const programs = [start("left"), start("right")];
      for (const program of programs) await program.next("ready");
      for (const program of programs) program.send("go");
      const reports = await Promise.all(programs.map((program) => program.next("done")));
      // On stderr the SDK would complain of an event that it could not store.
      for (const program of programs) assert.equal(await program.finished(), "");

      const stored = await readEvents(storage, "shared");
      assertDense(stored);
      const places = new Map(stored.map((event) => [event.id, event.eventIndex]));
      assert.equal(places.size, stored.length, "no event is stored twice");

      const wanted = new Map<string, number>(reports.flatMap((report) => report.offered));
      assert.equal(stored.length, before.length + wanted.size);
      for (const { offered, heard } of reports) {
        // Each event that the SDK gave to the driver came to the listener, and with the place that is stored.
        assert.deepEqual(
          heard,
          offered.map(([id]: [string]) => [id, places.get(id)]),
        );
      }
      // The processes did get into each other's way.
      assert.ok([...wanted].some(([id, eventIndex]) => places.get(id) !== eventIndex));

      // No update of either is missing, and those of one prompt are in the agent's order.
      for (const label of ["left", "right"]) {
        const expected: string[] = [];
        for (let prompt = 1; prompt <= prompts; prompt += 1) {
          for (let update = 1; update <= updates; update += 1)
            expected.push(`${label}${prompt} ${update} of ${updates}`);
        }
        assert.deepEqual(
          textsOf(stored).filter((text) => text.startsWith(label)),
          expected,
        );
      }
    },
  );
}
