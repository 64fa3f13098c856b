/** Compaction: what is joined and what is not, and that the session says the same before and after. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import type { SessionEvent } from "sandbox-agent";
import type { OurDriver, Suite } from "./driver.mts";
import { event, MAX, record, scan } from "./records.mts";

const eventsOf = (driver: OurDriver, sessionId: string) =>
  scan(({ cursor }) => driver.listEvents({ sessionId, cursor, limit: 500 }));

const indexesOf = async (driver: OurDriver, sessionId: string) =>
  (await eventsOf(driver, sessionId)).map(({ eventIndex }) => eventIndex);

const chunk = (text: string, update: object = {}) => ({
  jsonrpc: "2.0",
  method: "session/update",
  params: {
    sessionId: "a",
    update: { sessionUpdate: "agent_message_chunk", content: { type: "text", text }, ...update },
  },
});
const thought = (text: string) => chunk(text, { sessionUpdate: "agent_thought_chunk" });
const tool = (id: string) => chunk("", { sessionUpdate: "tool_call", content: [], toolCallId: id });
// With the name of another method as its text.
const prompt = (id: number) => ({
  jsonrpc: "2.0",
  id,
  method: "session/prompt",
  params: { prompt: [{ type: "text", text: "session/update" }] },
});
const answer = (id: number) => ({ jsonrpc: "2.0", id, result: { stopReason: "end_turn" } });

/** Stores payloads as events 1, 2, and so on: prompts are the client's, the rest is the agent's. */
async function say(driver: OurDriver, session: string, payloads: unknown[], first = 1): Promise<SessionEvent[]> {
  const events = payloads.map((payload, at) => {
    const isPrompt = (payload as { method?: string } | null)?.method === "session/prompt";
    return event(session, first + at, payload, { createdAt: first + at, sender: isPrompt ? "client" : "agent" });
  });
  await Promise.all(events.map((each) => driver.insertEvent(session, each)));
  return events;
}

const destroyed = (id: string) => record(id, { destroyedAt: 2_000_000_000_000 });

const NOTHING = { sessions: 0, events: 0, removed: 0, bytes: 0 };

const sizeOf = (events: SessionEvent[]) =>
  events.reduce((sum, { payload }) => sum + Buffer.byteLength(JSON.stringify(payload)), 0);

export function compaction({ name, ours, oursOnly }: Suite): void {
  describe(`${name}: compaction`, () => {
    oursOnly(
      "what was streamed becomes one event, where its last piece was, and a dry run says so before",
      async (t) => {
        const driver = await ours(t);
        const said = await say(driver, "s", [
          prompt(1),
          thought("I "),
          thought("think"),
          thought("…"),
          tool("t1"),
          tool("t2"),
          chunk("He"),
          chunk("llo \ud83d"),
          chunk("\ude00\u0000"),
          answer(1),
        ]);
        await driver.updateSession(record("s"));
        const other = await say(driver, "other", [chunk("a"), chunk("b")]);
        const expected = [
          said[0],
          { ...said[3]!, payload: thought("I think…") },
          said[4],
          said[5],
          { ...said[8]!, payload: chunk("Hello 😀\u0000") },
          said[9],
        ] as SessionEvent[];
        const counted = await driver.compactSession("s", { dryRun: true });
        assert.deepEqual(await eventsOf(driver, "s"), said);
        const steps: unknown[] = [];
        const done = await driver.compactSession("s", { onProgress: (so_far) => steps.push(so_far) });
        assert.deepEqual(await eventsOf(driver, "s"), expected);
        // A half of a pair is escaped, the pair is not.
        const escaped = "\\ud83d\\ude00".length - Buffer.byteLength("😀");
        assert.deepEqual(done, {
          sessions: 1,
          events: 10,
          removed: 4,
          bytes: sizeOf(said) - sizeOf(expected) - escaped,
        });
        assert.deepEqual(counted, done);
        assert.deepEqual(steps, [done]);
        assert.deepEqual(await driver.compactSession("s"), { ...NOTHING, events: 6 });
        assert.deepEqual(await eventsOf(driver, "s"), expected);
        assert.deepEqual(await eventsOf(driver, "other"), other);
      },
    );

    oursOnly("any other difference ends a run, and what is of another kind stays as it is", async (t) => {
      const driver = await ours(t);
      await driver.updateSession(destroyed("s"));
      const content = (text: string, more: object) => chunk("", { content: { type: "text", text, ...more } });
      await say(driver, "s", [
        ...[chunk("1"), chunk("2", { messageId: "m" }), chunk("3", { messageId: "n" })],
        ...[
          { ...chunk("4"), id: 1 },
          { ...chunk("5"), id: 1 },
        ],
        ...[content("6", { annotations: null }), content("7", { annotations: {} })],
        ...[chunk("8", { content: { type: "image", text: "" } }), chunk("9", { content: { type: "image", text: "" } })],
        ...[
          { ...chunk("10"), method: "session/other" },
          { ...chunk("11"), method: "session/other" },
        ],
        ...[null, "text", 1, [], chunk("16", { content: null }), chunk("17", { content: [] })],
      ]);
      const odd: Partial<SessionEvent>[] = [
        { sender: "client" },
        { connectionId: "other" },
        { fromNewerSdk: 1 } as object,
        { fromNewerSdk: 2 } as object,
      ];
      for (const [at, fields] of odd.entries()) await driver.insertEvent("s", event("s", 18 + at, chunk("x"), fields));
      const before = await eventsOf(driver, "s");
      assert.deepEqual(await driver.compactSession("s"), { ...NOTHING, events: 21 });
      assert.deepEqual(await eventsOf(driver, "s"), before);
    });

    oursOnly("a turn is compacted once it is over: when it is answered, or the session destroyed", async (t) => {
      const driver = await ours(t);
      await driver.updateSession(record("s"));
      const pieces = [chunk("a"), chunk("b")];
      await say(driver, "s", [prompt(1), ...pieces, answer(1), ...pieces, prompt(2), ...pieces]);
      assert.deepEqual((await driver.compactSession("s")).events, 4);
      assert.deepEqual(await indexesOf(driver, "s"), [1, 3, 4, 5, 6, 7, 8, 9]);
      // Of another connection, and an answer to something else.
      await driver.insertEvent("s", event("s", 10, answer(2), { connectionId: "other" }));
      await driver.insertEvent("s", event("s", 11, answer(1)));
      assert.equal((await driver.compactSession("s")).removed, 0);
      await driver.insertEvent("s", event("s", 12, answer(2)));
      await say(driver, "s", pieces, 13);
      assert.deepEqual((await driver.compactSession("s")).removed, 2);
      assert.deepEqual(await indexesOf(driver, "s"), [1, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14]);
      await driver.updateSession(destroyed("s"));
      assert.deepEqual((await driver.compactSession("s")).removed, 1);
      assert.deepEqual(await indexesOf(driver, "s"), [1, 3, 4, 6, 7, 9, 10, 11, 12, 14]);
      assert.deepEqual(await driver.compactSession("unknown"), NOTHING);
    });

    oursOnly("where an index is missing only old events are joined, and the highest index stays", async (t) => {
      const driver = await ours(t);
      await driver.updateSession(destroyed("s"));
      const at = (index: number, createdAt: number) => event("s", index, chunk(`${index} `), { createdAt });
      const young = Date.now();
      for (const each of [at(1, 1), at(5, 2), at(6, young), at(8, young), at(9, young), at(MAX, 1)]) {
        await driver.insertEvent("s", each);
      }
      await driver.compactSession("s");
      const events = await eventsOf(driver, "s");
      assert.deepEqual(
        events.map(({ eventIndex, payload }) => [eventIndex, (payload as any).params.update.content.text]),
        [
          [6, "1 5 6 "],
          [9, "8 9 "],
          [MAX, `${MAX} `],
        ],
      );
      // The SDK goes on after the highest index.
      const last = event("s", MAX - 1, {});
      await driver.insertEvent("s", last);
      assert.equal(last.eventIndex, MAX - 1);
    });

    oursOnly("thousands of pieces are joined step by step, to texts of a mebibyte at most", async (t) => {
      const driver = await ours(t);
      await driver.updateSession(destroyed("s"));
      const long = "x".repeat(300_000);
      const texts = Array.from({ length: 3_000 }, (_, at) => (at % 500 === 250 ? long : `${at} `));
      await say(
        driver,
        "s",
        texts.map((text) => chunk(text)),
      );
      const counted = await driver.compactSession("s", { dryRun: true });
      const done = await driver.compactSession("s");
      const joined = (await eventsOf(driver, "s")).map(({ payload }) => (payload as any).params.update.content.text);
      assert.equal(joined.join(""), texts.join(""));
      assert.equal(joined.length, 2);
      assert.ok(joined[0].length <= 1 << 20 && joined[0].length + long.length > 1 << 20);
      assert.deepEqual({ ...done, bytes: 0 }, { sessions: 1, events: 3_000, removed: 2_998, bytes: 0 });
      assert.deepEqual(counted, done);
      assert.deepEqual(await driver.compactSession("s"), { ...NOTHING, events: 2 });
    });

    oursOnly("it is ended by its signal, and goes on when it is called again", async (t) => {
      const driver = await ours(t);
      // It may be done before its caller hears how far it is: then there is more to do.
      for (let count = 1_200; ; count *= 4) {
        const id = `s-${count}`;
        await driver.updateSession(destroyed(id));
        const texts = Array.from({ length: count }, (_, at) => `${at} `);
        await say(
          driver,
          id,
          texts.map((text) => chunk(text)),
        );
        const abort = new AbortController();
        const ended = driver.compactSession(id, { signal: abort.signal, onProgress: () => abort.abort("enough") });
        const outcome = await ended.then(
          () => undefined,
          (error: Error) => error,
        );
        if (!outcome && count < 50_000) continue;
        assert.deepEqual([outcome?.name, outcome?.cause], ["AbortError", "enough"]);
        await driver.compactSession(id);
        const [only, ...others] = await eventsOf(driver, id);
        assert.deepEqual(
          [only!.eventIndex, (only!.payload as any).params.update.content.text],
          [count, texts.join("")],
        );
        assert.deepEqual(others, []);
        break;
      }
    });

    oursOnly("of many sessions those are compacted that meet all conditions", async (t) => {
      const driver = await ours(t);
      const pieces = [chunk("a"), chunk("b"), chunk("c")];
      const turn = [prompt(1), ...pieces, answer(1)];
      for (const [session, fields, payloads] of [
        ["destroyed", { destroyedAt: 5 }, pieces],
        ["later", { destroyedAt: 6 }, pieces],
        ["alive", {}, turn],
        ["open", {}, turn.slice(0, -1)],
        ["empty", {}, []],
      ] as const) {
        await driver.updateSession(record(session, { ...fields, createdAt: 1 }));
        await say(driver, session, [...payloads]);
        await driver.setLabels(session, { kind: payloads === turn ? "turn" : "other" });
      }
      await say(driver, "no record", turn);
      const compact = async (options: object) => {
        const counted = await driver.compactSessions({ ...options, dryRun: true });
        const done = await driver.compactSessions(options);
        assert.deepEqual(counted, done);
        const { sessions, events, removed } = done;
        return [sessions, events, removed];
      };
      assert.deepEqual(await compact({ destroyedBefore: 5 }), [0, 0, 0]);
      assert.deepEqual(await compact({ destroyedBefore: 6, idleBefore: 3 }), [0, 0, 0]);
      assert.deepEqual(await compact({ destroyedBefore: 6, idleBefore: 4 }), [1, 3, 2]);
      assert.deepEqual(await compact({ labels: { kind: "turn" }, idleBefore: 1_000 }), [1, 5, 2]);
      assert.deepEqual(await compact({}), [1, 1 + 3 + 3, 2]);
      assert.deepEqual(await indexesOf(driver, "open"), [1, 2, 3, 4]);
      assert.deepEqual(await indexesOf(driver, "no record"), [1, 2, 3, 4, 5]);
      assert.equal((await driver.compactSession("no record")).removed, 2);
    });
  });
}
