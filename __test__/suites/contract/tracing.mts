/** What those are told who subscribe to the TracingChannels of the methods. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import diagnostics from "node:diagnostics_channel";
import { describe, type TestContext } from "node:test";
import type { TracedCall } from "../../../index.js";
import { eventAt, sessionOf } from "../../support/records.mts";
import type { OurDriver, Suite } from "./driver.mts";

const EVENTS = ["start", "end", "asyncStart", "asyncEnd", "error"] as const;
type Told = [event: (typeof EVENTS)[number], call: TracedCall];

const RESOLVED = ["start", "end", "asyncStart", "asyncEnd"];
const REJECTED = ["start", "end", "error", "asyncStart", "asyncEnd"];

export function tracing({ name, ours, oursOnly }: Suite): void {
  describe(`${name}: tracing`, () => {
    oursOnly("every method of the class tells of its calls, those that wrong arguments end as well", async (t) => {
      const driver = await ours(t);
      for (const method of methodsOf(driver)) {
        const told = subscribe(t, method);
        const failure = await settle((driver as unknown as Record<string, () => unknown>)[method]!());
        assert.deepEqual(
          told.map(([event]) => event),
          failure ? REJECTED : RESOLVED,
          method,
        );
        const [, call] = told[0]!;
        assert.ok(told.every(([, other]) => other === call));
        assert.equal(call.error, failure);
        assert.equal(call.method, method);
        assert.match(call.system, /^(sqlite|postgresql)$/);
        assert.ok(call.namespace);
      }
    });

    oursOnly("a call tells its session and how it ended, and nothing that is written or read", async (t) => {
      const driver = await ours(t);
      const told = methodsOf(driver).map((method) => subscribe(t, method));
      const event = eventAt("traced", 1, { payload: { jsonrpc: "2.0", method: "x", params: { text: "PAYLOAD" } } });
      await driver.updateSession(sessionOf("traced", { agent: "PAYLOAD" }));
      await driver.insertEvent("traced", event);
      await driver.setLabels("traced", { tenant: "PAYLOAD" });
      await driver.getLabels("traced");
      await driver.getSession("traced");
      await driver.listEvents({ sessionId: "traced" });
      await driver.forkSession("traced");
      await driver.deleteSession("traced");
      const wrote = await driver.insertEvent("traced", event).catch((error: unknown) => error);
      await driver.listSessions();

      const calls = told.flat().map(([, call]) => call);
      assert.equal(new Set(calls).size, 10);
      assert.ok(!JSON.stringify(calls).includes("PAYLOAD"));
      for (const call of calls) {
        assert.equal(call.sessionId, call.method === "listSessions" ? undefined : "traced");
        for (const field of Object.keys(call)) assert.match(field, FIELDS);
      }
      assert.deepEqual([...new Set(calls.map(({ error }) => error))], [undefined, wrote]);
      assert.equal((wrote as { code: string }).code, "ERR_PERSIST_NOT_FOUND");
    });

    oursOnly("each call has the store that was bound to its start, and its caller keeps its own", async (t) => {
      const driver = await ours(t);
      const store = new AsyncLocalStorage<string>();
      const { start, asyncEnd } = diagnostics.tracingChannel<unknown, TracedCall>("sandbox-agent-persist:insertEvent");
      start.bindStore(store, (call) => `${(call as TracedCall).sessionId} in ${store.getStore()}`);
      t.after(() => start.unbindStore(store));
      const ends: unknown[] = [];
      const ended = () => ends.push(store.getStore());
      asyncEnd.subscribe(ended);
      t.after(() => asyncEnd.unsubscribe(ended));

      const write = async (session: string) => {
        await driver.insertEvent(session, eventAt(session, 1));
        assert.equal(store.getStore(), `request of ${session}`);
        await driver.insertEvent(session, eventAt(session, 2));
      };
      await Promise.all(["a", "b"].map((session) => store.run(`request of ${session}`, write, session)));
      assert.deepEqual(ends.sort(), [
        "a in request of a",
        "a in request of a",
        "b in request of b",
        "b in request of b",
      ]);
      assert.equal(store.getStore(), undefined);
    });

    oursOnly("who subscribes to one event alone is told", async (t) => {
      const driver = await ours(t);
      for (const event of EVENTS) {
        const told: unknown[] = [];
        const tell = (call: unknown) => told.push(call);
        diagnostics.subscribe(channelOf("getSession", event), tell);
        await settle(driver.getSession(1 as never));
        diagnostics.unsubscribe(channelOf("getSession", event), tell);
        assert.equal(told.length, 1, event);
      }
    });

    oursOnly("tailEvents tells of the life of its iterator: it ends once, whoever ends it", async (t) => {
      const driver = await ours(t);
      await driver.insertEvent("s", eventAt("s", 1));
      const told = subscribe(t, "tailEvents");
      const events = () => told.splice(0).map(([event]) => event);
      const abort = new AbortController();
      const ways: [string, (tail: AsyncIterableIterator<unknown>) => Promise<unknown>, ending: string[]][] = [
        ["return", async (tail) => tail.return?.(), ["asyncStart", "asyncEnd"]],
        ["throw", async (tail) => settle(tail.throw?.(new Error("mine"))), ["asyncStart", "asyncEnd"]],
        ["a signal", (tail) => (abort.abort(), settle(tail)), ["error", "asyncStart", "asyncEnd"]],
        ["deletion", (tail) => (driver.deleteSession("s"), settle(tail)), ["asyncStart", "asyncEnd"]],
      ];
      for (const [way, end, ending] of ways) {
        const tail = driver.tailEvents({ sessionId: "s", ...(way === "a signal" && { signal: abort.signal }) });
        assert.equal((await tail.next()).done, false);
        assert.deepEqual(events(), ["start", "end"], way);
        await end(tail);
        assert.deepEqual(events(), ending, way);
        await settle(tail);
        await tail.return?.();
        assert.deepEqual(events(), [], way);
      }
    });
  });
}

const FIELDS = /^(method|sessionId|system|namespace|serverAddress|serverPort|error)$/;

/** All methods, those that end the driver last. */
function methodsOf(driver: OurDriver): TracedCall["method"][] {
  const methods: string[] = [];
  for (let object = driver; object !== Object.prototype; object = Object.getPrototypeOf(object))
    methods.push(...Object.getOwnPropertyNames(object).filter((name) => name !== "constructor"));
  return [...methods.filter((name) => name !== "close"), "close"] as TracedCall["method"][];
}

/** What is told of a method from now on. */
function subscribe(t: TestContext, method: string): Told[] {
  const told: Told[] = [];
  for (const event of EVENTS) {
    const channel = channelOf(method, event);
    const tell = (call: unknown) => told.push([event, call as TracedCall]);
    diagnostics.subscribe(channel, tell);
    t.after(() => diagnostics.unsubscribe(channel, tell));
  }
  return told;
}

function channelOf(method: string, event: (typeof EVENTS)[number]): string {
  return `tracing:sandbox-agent-persist:${method}:${event}`;
}

/** What a call failed with, if it did. Of an iterator its first step is called. */
async function settle(called: unknown): Promise<unknown> {
  const isIterator = typeof called === "object" && called !== null && "next" in called;
  try {
    await (isIterator ? (called as AsyncIterator<unknown>).next() : called);
    return undefined;
  } catch (error) {
    return error;
  }
}
