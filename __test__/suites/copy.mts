/** `copySessions` into a store of either kind, out of every kind of driver that people have. */
import assert from "node:assert/strict";
import diagnostics from "node:diagnostics_channel";
import { describe, test, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";

import { InMemorySessionPersistDriver, type SessionEvent, type SessionPersistDriver } from "sandbox-agent";

import {
  copySessions,
  type CopySessionsOptions,
  SQLiteSessionPersistDriver,
  type SessionSource,
  type TracedCall,
} from "../../index.js";
import { otherDrivers } from "../support/drivers/all.mts";
import { generated, generatedEvent } from "../support/drivers/generated.mts";
import { start } from "../support/process.mts";
import { allEvents, eventAt, largeEventAt, sessionOf } from "../support/records.mts";
import { openPersist, type Persist, type Storage } from "../support/storage.mts";

/** What two reads give alike: a field that is undefined is one that is not there. */
const plain = <Value,>(value: Value): Value => value && JSON.parse(JSON.stringify(value));

/** All that a driver has. */
async function contents(driver: SessionSource): Promise<unknown> {
  const all = [];
  let cursor: string | undefined;
  do {
    const page = await driver.listSessions({ limit: 500, cursor });
    for (const record of page.items) {
      all.push({ record, events: await allEvents(driver as SessionPersistDriver, record.id) });
    }
    cursor = page.nextCursor;
  } while (cursor);
  return plain(all);
}

/** A source of these events of one session. */
const listing = (events: unknown[]): SessionSource =>
  generated({ sessions: 1, events: 0 }, { listEvents: async () => ({ items: events as SessionEvent[] }) });

/** How many events a session has that takes several steps. */
const LONG = 16_000;

/** A source of one such session, which says nothing more once it has given so many events, until it is told to go on. */
function pausing(events: number): { source: SessionSource; goOn(): void } {
  let goOn = () => {};
  const told = new Promise<void>((resolve) => (goOn = resolve));
  const whole = generated({ sessions: 1, events: LONG });
  const listEvents: SessionSource["listEvents"] = async (request) => {
    if (Number(request.cursor ?? 0) > events) await told;
    return whole.listEvents(request);
  };
  return { source: { ...whole, listEvents }, goOn };
}

/** Waits until the session has an event beyond this index. */
async function arrived(driver: Persist, afterIndex: number): Promise<void> {
  while ((await driver.listEvents({ sessionId: "s0", afterIndex, limit: 1 })).items.length === 0);
}

export function copies(name: string, newStorage: (t: TestContext) => Promise<Storage>, serverUrl?: string): void {
  async function open(t: TestContext): Promise<Persist> {
    const target = openPersist(await newStorage(t));
    t.after(() => target.close());
    return target;
  }

  describe(`copySessions into ${name}`, { concurrency: true }, () => {
    for (const { name: other, skip, open: openOther } of otherDrivers(serverUrl)) {
      test(`out of ${other}: all of it, once, and what is added later`, { skip }, async (t) => {
        const source = openOther(t);
        for (let index = 1; index <= 520; index += 1) await source.insertEvent("long", eventAt("long", index));
        await source.updateSession(
          sessionOf("long", {
            destroyedAt: 1_700_000_000_500,
            sandboxId: "local/1",
            modes: { currentModeId: "plan" } as never,
          }),
        );
        await source.updateSession(sessionOf("empty", { createdAt: 5, sessionInit: { cwd: "/", mcpServers: [] } }));
        const target = await open(t);
        const count = (await allEvents(source, "long")).length;
        assert.deepEqual(await copySessions(source, target), { sessions: 2, events: count });
        assert.deepEqual(await contents(target), await contents(source));
        assert.deepEqual(await copySessions(source, target), { sessions: 0, events: 0 });
        if (count < 520) return; // it has forgotten its oldest events, and would forget more
        await source.insertEvent("long", eventAt("long", 521));
        await source.updateSession(sessionOf("long", { agent: "other" }));
        assert.deepEqual(await copySessions(source, target), { sessions: 1, events: 1 });
        assert.deepEqual(await contents(target), await contents(source));
      });
    }

    test("out of the SDK's driver in memory, whose cap has removed what was copied: it is told, and nothing is mixed", async (t) => {
      const source = new InMemorySessionPersistDriver();
      const target = await open(t);
      await source.updateSession(sessionOf("s"));
      for (let index = 1; index <= 500; index += 1) await source.insertEvent("s", eventAt("s", index));
      assert.deepEqual(await copySessions(source, target), { sessions: 1, events: 500 });
      await source.insertEvent("s", eventAt("s", 501));
      await assert.rejects(copySessions(source, target), { code: "ERR_PERSIST_INDEX_CONFLICT" });
      assert.equal((await allEvents(target, "s")).length, 500);
    });

    test("killed in the middle, and called again: everything is there once", async (t) => {
      const storage = await newStorage(t);
      const copying = start(t, "copy-until-killed.mts", [JSON.stringify(storage), "12", "3000", "s9"]);
      await copying.next();
      copying.kill("SIGKILL");
      assert.equal((await copying.ended).signal, "SIGKILL");
      const target = openPersist(storage);
      t.after(() => target.close());
      const { items } = await target.listSessions();
      assert.ok(items.length > 0 && items.length < 10, `${items.length} sessions`);
      const source = generated({ sessions: 12, events: 3_000 });
      await copySessions(source, target);
      assert.deepEqual(await contents(target), await contents(source));
      assert.deepEqual(await copySessions(source, target), { sessions: 0, events: 0 });
    });

    test("its signal ends it, also while the source says nothing; its progress is told", async (t) => {
      const target = await open(t);
      const told: unknown[] = [];
      const stopping = new AbortController();
      const source = generated({ sessions: 3, events: 1_500 });
      const hanging = generated(
        { sessions: 3, events: 1_500 },
        {
          listEvents: async (request) => {
            if (request.sessionId !== "s1") return source.listEvents(request);
            stopping.abort("enough");
            return new Promise(() => {});
          },
        },
      );
      const ended = { name: "AbortError", code: "ABORT_ERR", cause: "enough" };
      await assert.rejects(copySessions(hanging, target, { signal: stopping.signal }), ended);
      const asked = new AbortController();
      const silent = async () => (asked.abort("enough"), new Promise<never>(() => {}));
      const chosen = { sessions: ["s1"], signal: asked.signal };
      await assert.rejects(copySessions({ ...source, getSession: silent }, target, chosen), ended);
      await assert.rejects(copySessions(source, target, { signal: stopping.signal }), ended);
      await copySessions(source, target, { onProgress: (progress) => told.push(progress) });
      assert.ok(told.length > 0);
      assert.deepEqual(Object.keys(told[0]!).sort(), ["bytes", "different", "events", "sessions"]);
      assert.deepEqual(await contents(target), await contents(source));
      const refusal = new Error("no more");
      const onProgress = () => {
        throw refusal;
      };
      await assert.rejects(copySessions(generated({ sessions: 9, events: 900 }), target, { onProgress }), refusal);
    });

    /** A session of so many events, of which four fill a step, and one of which the source never says which events it has. */
    const silent = (target: Persist, length: number, options?: CopySessionsOptions) => {
      const source = generated({ sessions: 2, events: 0 });
      const items = Array.from({ length }, (_, index) => largeEventAt("s0", index + 1, 1_100_000));
      const listEvents: SessionSource["listEvents"] = async ({ sessionId }) =>
        sessionId === "s0" ? { items } : new Promise<never>(() => {});
      return copySessions({ ...source, listEvents }, target, options);
    };

    test("a session that fits into a step is there together with its record, whatever comes after it", async (t) => {
      const target = await open(t);
      const stopping = new AbortController();
      const copying = silent(target, 4, { signal: stopping.signal });
      while ((await target.listEvents({ sessionId: "s0", limit: 1 })).items.length === 0);
      assert.ok(await target.getSession("s0"));
      stopping.abort();
      await assert.rejects(copying, { name: "AbortError" });
      assert.equal((await allEvents(target, "s0")).length, 4);
    });

    test("ended while the last events of a longer session are stored: it stays whole", async (t) => {
      const target = await open(t);
      const stopping = new AbortController();
      const copying = silent(target, 8, { signal: stopping.signal });
      while (!(await target.getSession("s0")));
      stopping.abort();
      await assert.rejects(copying, { name: "AbortError" });
      assert.equal((await allEvents(target, "s0")).length, 8);
    });

    /** A copy that has stored the beginning of a session, until it is stopped, and another driver on its store. */
    const begun = async (t: TestContext) => {
      const storage = await newStorage(t);
      const [one, other] = [openPersist(storage), openPersist(storage)];
      t.after(() => Promise.all([one.close(), other.close()]));
      const stopping = new AbortController();
      // What a source has given of a session is stored once it has given more than a step.
      const ended = copySessions(pausing(6_000).source, one, { signal: stopping.signal });
      const rejected = assert.rejects(ended, { name: "AbortError" });
      await arrived(other, 4_000);
      return { other, stopping, rejected };
    };

    for (const [where, second] of [
      ["after it was made whole", LONG],
      ["before", 11_000],
    ] as const) {
      test(`ended ${where} by another copy of the same session: what that one has stored stays`, async (t) => {
        const { other, stopping, rejected } = await begun(t);
        const { source, goOn } = pausing(second);
        const copied = copySessions(source, other);
        if (second === LONG) await copied;
        // It goes on where the other is, and beyond that.
        else await arrived(other, 9_000);
        stopping.abort();
        await rejected;
        goOn();
        assert.deepEqual(await copied, { sessions: 1, events: LONG - 5_000 });
        assert.deepEqual(await contents(other), await contents(pausing(LONG).source));
      });
    }

    test("a copy whose beginning another one takes back says so, and nothing is stored without it", async (t) => {
      const { other, stopping, rejected } = await begun(t);
      const { source, goOn } = pausing(6_000);
      let compared = 0;
      const copied = copySessions(source, other, { onProgress: ({ events }) => (compared = events) });
      const refused = assert.rejects(copied, { code: "ERR_PERSIST_INDEX_CONFLICT", message: /is gone: somebody has/ });
      while (compared < 5_000) await setImmediate();
      stopping.abort();
      await rejected;
      goOn();
      await refused;
      assert.deepEqual(await allEvents(other, "s0"), []);
      assert.deepEqual(await copySessions(pausing(LONG).source, other), { sessions: 1, events: LONG });
    });

    test("closing the target ends it, also while the source says nothing", async (t) => {
      const target = await open(t);
      const copying = silent(target, 4);
      while (!(await target.getSession("s0")));
      await Promise.all([assert.rejects(copying, { code: "ERR_PERSIST_CLOSED" }), target.close()]);
    });

    test("what the source throws is what it rejects with, and it goes on when it is called again", async (t) => {
      const target = await open(t);
      const source = generated({ sessions: 3, events: 800 });
      const broken = new Error("the disk of the source is gone");
      for (const over of [
        { listSessions: () => Promise.reject(broken) },
        {
          listEvents: (request) =>
            request.sessionId === "s2" && request.cursor ? Promise.reject(broken) : source.listEvents(request),
        },
        {
          listEvents: () => {
            throw broken;
          },
        },
      ] satisfies Partial<SessionSource>[]) {
        await assert.rejects(copySessions({ ...source, ...over }, target), (error) => error === broken);
      }
      await copySessions(source, target);
      assert.deepEqual(await contents(target), await contents(source));
    });

    test("events of several writers at one index get a place each, always the same", async (t) => {
      const target = await open(t);
      const events = [1, 2, 2, 2, 3, 9, 9].map((index, number) => ({ ...generatedEvent(0, index), id: `e${number}` }));
      assert.deepEqual(await copySessions(listing(events), target), { sessions: 1, events: 7 });
      const stored = await allEvents(target, "s0");
      assert.deepEqual(
        stored.map(({ id, eventIndex }) => [id, eventIndex]),
        [1, 2, 3, 4, 5, 9, 10].map((index, number) => [`e${number}`, index]),
      );
      assert.deepEqual(await copySessions(listing(events), target), { sessions: 0, events: 0 });
      // Somebody inserted an event before this page of a source that counts its items.
      const shifted = [...events.slice(0, 4), events[3], ...events.slice(4)];
      assert.deepEqual(await copySessions(listing(shifted), target), { sessions: 0, events: 0 });
    });

    test("odd values stay as they are; of what is no event it is told, and all else is copied", async (t) => {
      const target = await open(t);
      const odd = [
        eventAt("s0", 0, { payload: { text: "\u0000 \ud800 \u2028", big: 1e300, nested: [[null]], "": {} } as never }),
        { unknown: [1], ...eventAt("s0", 7, { id: "", connectionId: "", createdAt: 0 }) },
        { toJSON: () => eventAt("s0", 8), id: "8", eventIndex: 8 },
        eventAt("s0", Number.MAX_SAFE_INTEGER, { createdAt: 1, payload: null as never }),
      ];
      assert.deepEqual(await copySessions(listing(odd), target), { sessions: 1, events: 4 });
      assert.deepEqual(await allEvents(target, "s0"), plain(odd));
      const wrong = [
        { ...generatedEvent(1, 1), createdAt: "yesterday" },
        { ...generatedEvent(1, 1), eventIndex: 1.5 },
        { ...generatedEvent(1, 1), eventIndex: -1 },
        { ...generatedEvent(1, 1), sessionId: "another" },
        { ...generatedEvent(1, 1), payload: undefined },
      ];
      for (const event of wrong) {
        const source = generated({ sessions: 3, events: 2 });
        const { listEvents } = source;
        source.listEvents = async (request) =>
          request.sessionId === "s1" ? { items: [event as never] } : listEvents(request);
        const failed = await copySessions(source, target, { sessions: ["s1", "s2"] }).catch((error) => error);
        assert.equal(failed.code, "ERR_PERSIST_INDEX_CONFLICT", String(failed));
        assert.deepEqual(
          failed.differences.map(({ sessionId, reason }: any) => [sessionId, reason]),
          [["s1", "refused"]],
        );
        assert.equal((await allEvents(target, "s2")).length, 2);
        assert.deepEqual([await target.getSession("s1"), await allEvents(target, "s1")], [undefined, []]);
      }
    });

    test("what the target has otherwise is left as it is and told; all else is copied", async (t) => {
      const target = await open(t);
      await copySessions(generated({ sessions: 2, events: 3 }), target);
      await target.insertEvent("s0", generatedEvent(0, 4));
      await target.insertEvent("s1", { ...generatedEvent(1, 4), id: "of another" });
      const before = await contents(target);
      const source = generated({ sessions: 3, events: 3 });
      const ahead = { ...source, listEvents: generated({ sessions: 2, events: 5 }).listEvents };
      const mixed: SessionSource = {
        ...source,
        listEvents: (request) => (request.sessionId === "s1" ? ahead : source).listEvents(request),
      };
      await assert.rejects(copySessions(mixed, target), (error: any) => {
        assert.equal(error.code, "ERR_PERSIST_INDEX_CONFLICT");
        assert.match(
          error.message,
          /^2 of the sessions were not copied, all others were: .* \(and 1 more: see `differences`\)$/,
        );
        assert.deepEqual(
          error.differences.map(({ sessionId, reason }: any) => [sessionId, reason]),
          [
            ["s0", "hasMore"],
            ["s1", "otherEvents"],
          ],
        );
        return true;
      });
      assert.deepEqual(await allEvents(target, "s2"), await allEvents(source as SessionPersistDriver, "s2"));
      await target.deleteSession("s2");
      assert.deepEqual(await contents(target), before);
    });

    test("a source that never ends, gives no pages or lists in no order is found out", async (t) => {
      const target = await open(t);
      const source = generated({ sessions: 2, events: 2 });
      const again = async () => ({ items: [generatedEvent(0, 1)], nextCursor: "again" });
      let calls = 0;
      for (const [over, message] of [
        [{ listEvents: again }, /listEvents of the source never comes to an end/],
        [
          { listEvents: async () => ({ items: [], nextCursor: `${(calls += 1)}` }) },
          /listEvents of the source never comes to an end/,
        ],
        [
          { listEvents: async () => ({ items: [], nextCursor: `${(calls += 1) % 7}` }) },
          /listEvents of the source never comes to an end/,
        ],
        [
          { listEvents: async () => ({ items: [generatedEvent(0, 1)], nextCursor: `${(calls += 1)}` }) },
          /listEvents of the source never comes to an end/,
        ],
        [
          { listSessions: async () => ({ items: [sessionOf(`s${(calls += 1) % 2}`)], nextCursor: `${calls}` }) },
          /listSessions of the source never comes to an end/,
        ],
        [
          { listSessions: async () => ({ items: [sessionOf("s0")], nextCursor: `${(calls += 1)}` }) },
          /listSessions of the source never comes to an end/,
        ],
        [
          { listEvents: async () => ({ items: [generatedEvent(0, 2), generatedEvent(0, 1)] }) },
          /lists event 1 of session "s0" after event 2/,
        ],
        [{ listEvents: async () => undefined as never }, /something else than a page/],
        [{ listEvents: async () => ({ items: [1 as never] }) }, /something else than a page/],
        [{ listEvents: async () => ({ items: new Array<never>(3) }) }, /something else than a page/],
        [{ listSessions: async () => ({ items: [{} as never] }) }, /session\.id must be a string/],
        [
          { listEvents: async () => ({ items: [{ ...generatedEvent(0, 1), payload: 1n as never }] }) },
          /an event of the source cannot be turned into JSON text/,
        ],
      ] satisfies [Partial<SessionSource>, RegExp][]) {
        const failure = { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT", message };
        await assert.rejects(copySessions({ ...source, ...over }, target), failure);
      }
      await copySessions(source, target);
      assert.deepEqual(await contents(target), await contents(source));
    });

    test("a source that grows while it is read is followed to its end", async (t) => {
      const target = await open(t);
      const source = new InMemorySessionPersistDriver({ maxEventsPerSession: 5_000 });
      await source.updateSession(sessionOf("s"));
      for (let index = 1; index <= 600; index += 1) await source.insertEvent("s", eventAt("s", index));
      let next = 601;
      const growing: SessionSource = {
        getSession: (id) => source.getSession(id),
        listSessions: (request) => source.listSessions(request),
        listEvents: async (request) => {
          const page = await source.listEvents(request);
          for (; next <= 1_300 && page.nextCursor; next += 1) await source.insertEvent("s", eventAt("s", next));
          return page;
        },
      };
      assert.deepEqual(await copySessions(growing, target), { sessions: 1, events: 1_300 });
      assert.deepEqual(await contents(target), await contents(source));
    });

    test("sessions that move to a later page while they are read are copied once", async (t) => {
      const target = await open(t);
      const source = generated({ sessions: 7, events: 2 });
      const { items } = await source.listSessions({ limit: 7 });
      const pages = [items.slice(0, 4), items.slice(2, 6), items.slice(3, 7)];
      const moving: SessionSource = {
        ...source,
        listSessions: async ({ cursor = "0" } = {}) => {
          const page = Number(cursor);
          return { items: pages[page]!, ...(page < 2 && { nextCursor: `${page + 1}` }) };
        },
      };
      assert.deepEqual(await copySessions(moving, target), { sessions: 7, events: 14 });
      assert.deepEqual(await contents(target), await contents(source));
    });

    test("closing the target ends a copy whose source says nothing more", async (t) => {
      const target = await open(t);
      const source = generated({ sessions: 3, events: 2 });
      let closed: Promise<void> | undefined;
      const silent = async () => ((closed = target.close()), new Promise<never>(() => {}));
      const failure = { code: "ERR_PERSIST_CLOSED" };
      await assert.rejects(copySessions({ ...source, listEvents: silent }, target), failure);
      await closed;
    });

    test("`sessions` chooses; one that is not there is an error before anything is copied", async (t) => {
      const target = await open(t);
      const source = generated({ sessions: 9, events: 2 });
      const missing = { code: "ERR_PERSIST_NOT_FOUND", message: 'the source has no session "s9"' };
      await assert.rejects(copySessions(source, target, { sessions: ["s1", "s9"] }), missing);
      assert.deepEqual((await target.listSessions()).items, []);
      assert.deepEqual(await copySessions(source, target, { sessions: [] }), { sessions: 0, events: 0 });
      assert.deepEqual(await copySessions(source, target, { sessions: ["s7", "s1", "s7"] }), {
        sessions: 2,
        events: 4,
      });
      const { items } = await target.listSessions();
      assert.deepEqual(
        items.map(({ id }) => id),
        ["s1", "s7"],
      );
    });

    test("out of a driver of ours: the same JSON text, labels, and sessions without a record", async (t) => {
      await using source = new SQLiteSessionPersistDriver();
      await copySessions(generated({ sessions: 2, events: 3 }), source);
      await source.setLabels("s0", { tenant: "acme" });
      await source.insertEvent("s1", largeEventAt("s1", 4, 3_000_000));
      await source.insertEvent("early", eventAt("early", 1));
      const target = await open(t);
      await assert.rejects(copySessions(source, target, { sessions: ["nobody"] }), { code: "ERR_PERSIST_NOT_FOUND" });
      assert.deepEqual(await copySessions(source, target, { sessions: ["s1"] }), { sessions: 1, events: 4 });
      await target.setLabels("s1", { mine: "yes" });
      assert.deepEqual(await copySessions(source, target), { sessions: 2, events: 4 });
      assert.deepEqual(await copySessions(source, target), { sessions: 0, events: 0 });
      assert.deepEqual(await contents(target), await contents(source));
      assert.deepEqual(await allEvents(target, "early"), [eventAt("early", 1)]);
      assert.deepEqual(await target.getLabels("s0"), { tenant: "acme" });
      assert.deepEqual(await target.getLabels("s1"), { mine: "yes" });
    });

    test("a class made of a driver of ours is read by what it overrides, labels too", async (t) => {
      class Redacting extends SQLiteSessionPersistDriver {
        override async listEvents(...given: Parameters<SQLiteSessionPersistDriver["listEvents"]>) {
          const page = await super.listEvents(...given);
          return { ...page, items: page.items.map((event) => ({ ...event, payload: "redacted" as never })) };
        }
      }
      await using source = new Redacting();
      await copySessions(generated({ sessions: 1, events: 2 }), source);
      await source.setLabels("s0", { tenant: "acme" });
      const target = await open(t);
      await copySessions(source, target);
      assert.deepEqual(
        (await allEvents(target, "s0")).map(({ payload }) => payload),
        ["redacted", "redacted"],
      );
      assert.deepEqual(await target.getLabels("s0"), { tenant: "acme" });
    });

    test("wrong arguments are refused, and a call is told on its channel", async (t) => {
      const target = await open(t);
      const source = generated({ sessions: 1, events: 1 });
      const calls: TracedCall[] = [];
      const keep = (call: unknown) => calls.push(call as TracedCall);
      const channel = "tracing:sandbox-agent-persist:copySessions:asyncEnd";
      diagnostics.subscribe(channel, keep);
      t.after(() => diagnostics.unsubscribe(channel, keep));
      for (const [given, message] of [
        [[source, {}], /^target must be a driver of this package/],
        [[source, new Proxy(target, {})], /^target must be a driver of this package/],
        [[{}, target], /^source must have the methods/],
        [[null, target], /^source must have the methods/],
        [[source, target, { session: "s0" }], /^options\.session is not a field of copySessions/],
        [[source, target, { sessions: "s0" }], /^options\.sessions must be an array/],
        [[source, target, { sessions: [1] }], /^options\.sessions must be an array/],
        [[source, target, { signal: 1 }], /^options\.signal must be an AbortSignal/],
        [[source, target, { onProgress: 1 }], /^options\.onProgress must be a function/],
        [[source, target, 1], /^options must be an object/],
      ] as [unknown[], RegExp][]) {
        const failure = { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT", message };
        await assert.rejects(Reflect.apply(copySessions, undefined, given), failure, String(message));
      }
      await copySessions(source, target);
      const ours = calls.filter(({ namespace }) => namespace === calls.at(-1)!.namespace);
      assert.deepEqual([ours.at(-1)!.method, ours.at(-1)!.error], ["copySessions", undefined]);
      await target.close();
      await assert.rejects(copySessions(source, target), { code: "ERR_PERSIST_CLOSED" });
    });
  });
}
