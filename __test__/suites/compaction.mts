/**
 * Compaction down to the rows: what is stored afterwards is, to the byte, what a simple model says; also beside writers,
 * followers and other processes, and after a process was killed in the middle of it. Each driver's tests run it.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { describe, test, type TestContext } from "node:test";
import fc from "fast-check";
import type { SessionEvent } from "sandbox-agent";
import { start } from "../support/process.mts";
import { allEvents, eventAt, sessionOf } from "../support/records.mts";
import { slowDown } from "../support/slow.mts";
import { openPersist, type Persist, type SharedStore } from "../support/storage.mts";

/** An event as it is stored. */
export interface Row {
  index: number;
  id: string;
  createdAt: number;
  connection: string;
  sender: string;
  payload: string;
  extra: string | null;
}

/** A new, empty store, and another program that reads and writes its rows. */
export interface Place extends SharedStore {
  store(session: string, rows: Row[]): Promise<void>;
  rows(session: string): Promise<Row[]>;
}

const OLD = 1_700_000_000_000;
const YOUNG = Date.now() + 3_600_000;
const ROUNDS = 20;

/** JSON text around a text: what can be joined. `#` is where the text goes. */
const FRAMES = [
  '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"a","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"#"}}}}',
  '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"a","update":{"sessionUpdate":"agent_thought_chunk","content":{"type":"text","text":"#"}}}}',
  '{"method":"session/update","params":{"update":{"content":{"text":"#","type":"text","n":1e400,"annotations":null},"sessionUpdate":"user_message_chunk"},"_meta":{"n":-0.10e2,"n":"\\ud800"}}}',
  ' { "method" : "session\\/update" , "params" : { "update" : { "sessionUpdate" : "agent_message_chunk" , "messageId" : "m" , "content" : { "type" : "text" , "text" : "#" } } } } ',
];
/** What cannot. */
const FOREIGN = [
  '{"jsonrpc":"2.0","id":7,"method":"session/update","params":{"update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"#"}}}}',
  '{"method":"session/update","params":{"update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"#","text":"#"}}}}',
  '{"method":"session/update","params":{},"params":{"update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"#"}}}}',
  '{"method":"session/update","params":{"update":{"sessionUpdate":"tool_call_update","content":{"type":"text","text":"#"}}}}',
  '{"method":"session/update","params":{"update":{"sessionUpdate":"agent_message_chunk","content":{"type":"image","text":"#"}}}}',
  '{"method":"session/update","params":{"update":{"sessionUpdate":"agent_message_chunk","content":[{"type":"text","text":"#"}]}}}',
  '[1e400,"#"]',
  "null",
];

/** A piece of text as JSON: what `JSON.stringify` makes of it, or escaped from end to end. */
const literal = fc
  .tuple(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 6 }),
      fc.constantFrom("", "\ud83d", "\ude00", "\0", '"', "\\", "\u2028"),
    ),
    fc.boolean(),
  )
  .map(([text, escaped]) =>
    escaped
      ? [...Array(text.length).keys()].map((at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join("")
      : JSON.stringify(text).slice(1, -1),
  );

const mostly = <T,>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

type Said = { frame: string; text: string } | "prompt" | "answer";

const said: fc.Arbitrary<Said> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ frame: mostly(FRAMES[0]!, ...FRAMES), text: literal }) },
  { weight: 3, arbitrary: fc.record({ frame: fc.constantFrom(...FRAMES, ...FOREIGN), text: literal }) },
  { weight: 1, arbitrary: fc.constantFrom("prompt" as const, "answer" as const) },
);

const transcript = fc.array(
  fc.record({
    said,
    step: mostly(1, 2, 1_000),
    createdAt: mostly(OLD, YOUNG),
    connection: mostly("c", "", "é"),
    sender: mostly("agent", "client"),
    extra: mostly(null, "{}", '{"a":1e400}', '{"a":1e401}'),
  }),
  { maxLength: 120 },
);

/** The rows of a session, and what each has said. */
function rowsOf(events: typeof transcript extends fc.Arbitrary<infer T> ? T : never): { row: Row; said: Said }[] {
  let index = 0;
  let prompts = 0;
  return events.map(({ said, step, ...fields }) => {
    index += step;
    const row: Row = { index, id: `e${index}`, ...fields, payload: "" };
    if (said === "prompt") {
      row.payload = `{"jsonrpc":"2.0","id":${(prompts += 1)},"method":"session/prompt","params":{}}`;
      Object.assign(row, { sender: "client", connection: "c" });
    } else if (said === "answer") {
      row.payload = `{"jsonrpc":"2.0","id":${prompts},"result":{}}`;
      Object.assign(row, { sender: "agent", connection: "c" });
    } else {
      row.payload = said.frame.replaceAll("#", () => said.text);
    }
    return { row, said };
  });
}

/** What is stored of them after compaction. */
function compacted(events: { row: Row; said: Said }[], destroyed: boolean): Row[] {
  let end = destroyed ? Infinity : 0;
  let isOpen = false;
  for (const { row, said } of events) {
    if (said === "prompt") isOpen = true;
    if (said === "answer" && isOpen && !destroyed) end = row.index;
    if (said === "answer") isOpen = false;
  }
  const left: { row: Row; said: Said }[] = [];
  for (const { row, said } of events) {
    const last = left.at(-1);
    if (
      last &&
      row.index <= end &&
      typeof said === "object" &&
      typeof last.said === "object" &&
      FRAMES.includes(said.frame) &&
      said.frame === last.said.frame &&
      (["connection", "sender", "extra"] as const).every((name) => row[name] === last.row[name]) &&
      (row.index === last.row.index + 1 || row.createdAt === OLD) &&
      !(row.createdAt === OLD && last.row.createdAt === YOUNG)
    ) {
      const text = last.said.text + said.text;
      left[left.length - 1] = {
        row: { ...row, payload: said.frame.replace("#", () => text) },
        said: { ...said, text },
      };
    } else {
      left.push({ row, said });
    }
  }
  return left.map(({ row }) => row);
}

function open(t: TestContext, { storage }: Place): Persist {
  const driver = openPersist(storage);
  t.after(() => driver.close());
  return driver;
}

const textOf = (event: SessionEvent): string => (event.payload as any).params?.update?.content?.text ?? "";

/** Registers the suite for stores that `makePlace` makes. */
export function compaction(name: string, makePlace: (t: TestContext) => Promise<Place>): void {
  describe(`${name}: compaction`, () => {
    test("random transcripts are, to the byte, what a model of compaction makes of them", async (t) => {
      const place = await makePlace(t);
      const driver = open(t, place);
      let sessions = 0;
      await fc.assert(
        fc.asyncProperty(transcript, fc.boolean(), async (events, destroyed) => {
          const session = `s${(sessions += 1)}`;
          const before = rowsOf(events);
          const rows = before.map(({ row }) => row);
          const expected = compacted(before, destroyed);
          await driver.updateSession(sessionOf(session, destroyed ? { destroyedAt: 1 } : {}));
          await place.store(session, rows);
          const counted = await driver.compactSession(session, { dryRun: true });
          assert.deepEqual(await place.rows(session), rows);
          const done = await driver.compactSession(session);
          assert.deepEqual(await place.rows(session), expected);
          const size = (of: Row[]) =>
            of.reduce((sum, { payload, extra }) => sum + Buffer.byteLength(payload) + (extra?.length ?? 0), 0);
          const removed = rows.length - expected.length;
          assert.equal(done.removed, removed);
          assert.equal(done.sessions, removed > 0 ? 1 : 0);
          assert.equal(done.bytes, size(rows) - size(expected));
          assert.deepEqual(counted, done);
          assert.equal((await driver.compactSession(session)).removed, 0);
          assert.deepEqual(await place.rows(session), expected);
        }),
        { numRuns: 60 },
      );
    });

    test(`killed in the middle ${ROUNDS} times over, a session has said all that it had, and nothing twice`, async (t) => {
      const place = await makePlace(t);
      const driver = open(t, place);
      const texts = Array.from({ length: 5_000 }, (_, at) => `${at} `);
      const turn = Array.from({ length: 5_002 }, (_, at): Row => {
        const payload =
          at === 0
            ? '{"id":1,"method":"session/prompt"}'
            : at === 5_001
              ? '{"id":1,"result":{}}'
              : FRAMES[at % 150 === 0 ? 1 : 0]!.replace("#", texts[at - 1]!);
        const sender = at === 0 ? "client" : "agent";
        return { index: at + 1, id: `e${at}`, createdAt: OLD + at, connection: "c", sender, payload, extra: null };
      });
      await driver.updateSession(sessionOf("whole"));
      await place.store("whole", turn);
      await driver.forkSession("whole", { id: "expected" });
      await driver.compactSession("expected");
      const contents = async (session: string) =>
        (await allEvents(driver, session, 6_000)).map(({ eventIndex, createdAt, payload }) => ({
          eventIndex,
          createdAt,
          payload,
        }));
      const expected = await contents("expected");
      assert.ok(expected.length < 120);
      const times = new Map(turn.map(({ index, createdAt }) => [index, createdAt]));

      let next = start(t, "compact.mts");
      for (let round = 0; round < ROUNDS; round += 1) {
        const session = `round-${round}`;
        await driver.forkSession("whole", { id: session });
        // The first round ends in the middle on whatever machine.
        const undo = round === 0 ? await slowDown(place, "DELETE") : undefined;
        const compactor = next;
        assert.equal(await compactor.next(), "loaded");
        compactor.send({ storage: place.storage, session });
        // The next one loads while this one works.
        next = start(t, "compact.mts");
        assert.equal(await compactor.next(), "step");
        if (!undo) await delay(randomInt(0, 12));
        compactor.kill("SIGKILL");
        await compactor.ended;
        await undo?.();
        const events = await allEvents(driver, session, 6_000);
        assert.equal(events.map(textOf).join(""), texts.join(""));
        assert.equal(events.at(-1)!.eventIndex, turn.length);
        for (const { eventIndex, createdAt } of events) assert.equal(createdAt, times.get(eventIndex));
        if (undo)
          assert.ok(events.length > expected.length && events.length < turn.length, `${events.length} are left`);
        await driver.compactSession(session);
        assert.deepEqual(await contents(session), expected);
      }
    });

    test("beside writers, followers and another process that compacts nothing is lost, and nothing said twice", async (t) => {
      const place = await makePlace(t);
      const [writer, driver] = [open(t, place), open(t, place)];
      await writer.updateSession(sessionOf("s"));
      const other = start(t, "compact.mts");
      assert.equal(await other.next(), "loaded");
      other.send({ storage: place.storage, session: "s", again: true });
      assert.equal(await other.next(), "step");
      const turns = 12;
      const pieces = 40;
      let over = false;
      const seen: number[] = [];
      const following = (async () => {
        for await (const { eventIndex } of driver.tailEvents({ sessionId: "s" })) {
          seen.push(eventIndex);
          if (eventIndex === turns * (pieces + 2)) return;
        }
      })();
      const compacting = (async () => {
        let removed = 0;
        while (!over) removed += (await driver.compactSession("s")).removed;
        return removed;
      })();
      let index = 0;
      const write = (payload: object, sender: "client" | "agent" = "agent") =>
        writer.insertEvent(
          "s",
          eventAt("s", (index += 1), { payload: payload as never, sender, createdAt: Date.now() }),
        );
      for (let turn = 0; turn < turns; turn += 1) {
        await write({ id: turn, method: "session/prompt" }, "client");
        await Promise.all(
          Array.from({ length: pieces }, (_, at) => write(JSON.parse(FRAMES[0]!.replace("#", `${turn}.${at} `)))),
        );
        await write({ id: turn, result: {} });
      }
      over = true;
      await Promise.all([following, compacting]);
      other.kill("SIGKILL");
      await other.ended;
      await driver.compactSession("s");
      const events = await allEvents(driver, "s");
      const expected = Array.from({ length: turns }, (_, turn) => [
        "",
        Array.from({ length: pieces }, (_, at) => `${turn}.${at} `).join(""),
        "",
      ]).flat();
      assert.deepEqual(events.map(textOf), expected);
      assert.deepEqual(
        seen,
        [...seen].sort((a, b) => a - b),
      );
      for (const { eventIndex } of events) assert.ok(seen.includes(eventIndex), `the follower got ${eventIndex}`);
      // Who comes back in the middle of what was joined gets all of it.
      const tail = driver.tailEvents({ sessionId: "s", afterIndex: events.at(-2)!.eventIndex - 5 });
      assert.deepEqual(textOf((await tail.next()).value), expected.at(-2));
      await tail.return?.();
    });
  });
}
