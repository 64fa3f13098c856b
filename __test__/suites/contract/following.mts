/** Following a session: what is stored, then what comes. A driver without `tailEvents` skips the group. */
import assert from "node:assert/strict";
import { describe, type TestContext } from "node:test";
import type { SessionEvent } from "sandbox-agent";
import type { OurDriver, Suite } from "./driver.mts";
import { event, MAX, range } from "./records.mts";

type Tail = AsyncIterableIterator<SessionEvent>;

const ENDED = { done: true, value: undefined };

/** The next `count` events. */
async function take(tail: Tail, count: number): Promise<SessionEvent[]> {
  const events: SessionEvent[] = [];
  while (events.length < count) {
    const { done, value } = await tail.next();
    assert.ok(!done, `the iterator ended after ${events.length} events`);
    events.push(value);
  }
  return events;
}

const takeIndexes = async (tail: Tail, count: number) => (await take(tail, count)).map(({ eventIndex }) => eventIndex);

/** An event of just now: only before such a one is a gap waited for. */
const fresh = (index: number) => event("s", index, {}, { createdAt: Date.now() });

export function following({ name, ours: opened, oursOnly }: Suite): void {
  const write = async (driver: OurDriver, indexes: number[], sessionId = "s") => {
    await Promise.all(indexes.map((index) => driver.insertEvent(sessionId, event(sessionId, index))));
  };
  /** An iterator that is returned at the end of the test, as one that waits keeps the process alive. */
  const follow = (t: TestContext, driver: OurDriver, request: Partial<Parameters<Follow>[0]> = {}): Tail => {
    const tail = driver.tailEvents({ sessionId: "s", ...request });
    t.after(() => tail.return!());
    return tail;
  };
  type Follow = OurDriver["tailEvents"];

  describe(`${name}: following`, () => {
    oursOnly("what is stored comes first, then what is written, each event as it was", async (t) => {
      const driver = await opened(t);
      const payload = { "": [null, 1e21, 0.1, "\u0000\ud800", { b: {}, a: [] }], __proto__: null };
      const stored = range(1, 4).map((index) => event("s", index, payload, { newer: [index] } as object));
      for (const each of stored) await driver.insertEvent("s", each);
      await write(driver, [1], "other");
      const tail = follow(t, driver);
      assert.equal(tail[Symbol.asyncIterator](), tail);
      assert.deepEqual(await take(tail, 3), (await driver.listEvents({ sessionId: "s" })).items);
      const next = tail.next();
      const live = event("s", 4, { live: true }, { sender: "client" });
      await driver.insertEvent("s", live);
      assert.deepEqual(await next, { done: false, value: live });
    });

    oursOnly("afterIndex is the last event that the caller has, stored or not", async (t) => {
      const driver = await opened(t);
      await write(driver, range(0, 10));
      const after = (afterIndex?: number) => follow(t, driver, { afterIndex });
      assert.deepEqual(await takeIndexes(after(6), 3), [7, 8, 9]);
      assert.deepEqual(await takeIndexes(after(undefined), 2), [0, 1]);
      assert.deepEqual(await takeIndexes(after(-1), 2), [0, 1]);
      assert.deepEqual(await takeIndexes(after(-MAX), 2), [0, 1]);
      const [atEnd, beyond, last] = [after(9), after(11), after(MAX)];
      const waiting = [atEnd.next(), beyond.next()];
      const never = last.next();
      await write(driver, [10, 11, 12]);
      const [first, second] = await Promise.all(waiting);
      assert.deepEqual([first.value?.eventIndex, second.value?.eventIndex], [10, 12]);
      await last.return!();
      assert.deepEqual(await never, ENDED);
    });

    oursOnly("a session that does not exist yet is waited for", async (t) => {
      const driver = await opened(t);
      const next = follow(t, driver).next();
      await write(driver, [1]);
      assert.equal((await next).value?.eventIndex, 1);
    });

    oursOnly(
      "followers of the same and of other sessions each get all events of their own, in order, while they are written",
      async (t) => {
        const driver = await opened(t);
        const sessions = ["a", "b", "c"];
        const followers = range(0, 60).map((n) => ({ sessionId: sessions[n % 3]!, afterIndex: n % 7 }));
        const all = followers.map(async ({ sessionId, afterIndex }) => {
          const indexes = await takeIndexes(follow(t, driver, { sessionId, afterIndex }), 100 - afterIndex);
          assert.deepEqual(indexes, range(afterIndex + 1, 101));
        });
        for (const index of range(1, 101))
          await Promise.all(sessions.map((session) => driver.insertEvent(session, event(session, index))));
        await Promise.all(all);
      },
    );

    oursOnly("each follower gets objects of its own", async (t) => {
      const driver = await opened(t);
      const waiting = [follow(t, driver), follow(t, driver)].map((tail) => tail.next());
      await driver.insertEvent("s", event("s", 1, { mine: [] }));
      const [first, second] = await Promise.all(waiting);
      Object.assign(first!.value!.payload, { mine: "changed" });
      assert.deepEqual(second!.value, event("s", 1, { mine: [] }));
    });

    oursOnly("an event that is stored again comes once, one that is moved comes where it is stored", async (t) => {
      const driver = await opened(t);
      const tail = follow(t, driver);
      const indexes = takeIndexes(tail, 4);
      await write(driver, [1, 2]);
      await write(driver, [1, 2]);
      await driver.insertEvent("s", event("s", 1, {}, { id: "moved" }));
      await write(driver, [4]);
      assert.deepEqual(await indexes, [1, 2, 3, 4]);
    });

    oursOnly("an event that is missing before a new one is waited for", async (t) => {
      const driver = await opened(t);
      // On a machine that stands still for so long the follower has passed the gap: then once more.
      for (let tries = 1, quick = false; !quick; tries += 1) {
        const tail = driver.tailEvents({ sessionId: "s", afterIndex: 10 * tries });
        const indexes = takeIndexes(tail, 4);
        await driver.insertEvent("s", fresh(10 * tries + 1));
        const start = performance.now();
        await driver.insertEvent("s", fresh(10 * tries + 4));
        await driver.insertEvent("s", fresh(10 * tries + 3));
        await driver.insertEvent("s", fresh(10 * tries + 2));
        quick = performance.now() - start < 250;
        const given = await indexes;
        await tail.return!();
        if (quick) assert.deepEqual(given, range(10 * tries + 1, 10 * tries + 5));
      }
    });

    oursOnly("what stays missing is passed, and what arrives there later is yielded then, once", async (t) => {
      const driver = await opened(t);
      const tail = follow(t, driver);
      const indexes = takeIndexes(tail, 3);
      for (const index of [1, 5, 6]) await driver.insertEvent("s", fresh(index));
      assert.deepEqual(await indexes, [1, 5, 6]);
      for (const late of [3, 2, 4]) {
        const next = tail.next();
        await driver.insertEvent("s", fresh(late));
        assert.equal((await next).value?.eventIndex, late);
      }
      await driver.insertEvent("s", fresh(4));
      await driver.insertEvent("s", fresh(7));
      assert.deepEqual(await takeIndexes(tail, 1), [7]);
    });

    oursOnly("a consumer that stops reading, and goes on, gets everything in order", async (t) => {
      const driver = await opened(t);
      const tail = follow(t, driver);
      await write(driver, range(1, 1001));
      assert.deepEqual(await takeIndexes(tail, 3), [1, 2, 3]);
      await write(driver, range(1001, 3001));
      assert.deepEqual(await takeIndexes(tail, 2500), range(4, 2504));
      await write(driver, range(3001, 3101));
      assert.deepEqual(await takeIndexes(tail, 597), range(2504, 3101));
    });

    oursOnly("calls that wait at the same time get the events in the order of the calls", async (t) => {
      const driver = await opened(t);
      await write(driver, [1, 2]);
      const tail = follow(t, driver);
      const results = range(0, 5).map(() => tail.next());
      await write(driver, [3]);
      await write(driver, [4, 5]);
      const indexes = (await Promise.all(results)).map(({ value }) => value?.eventIndex);
      assert.deepEqual(indexes, [1, 2, 3, 4, 5]);
    });

    oursOnly("break, return, throw and dispose end it, and what waits", async (t) => {
      const driver = await opened(t);
      await write(driver, [1, 2]);
      const given: number[] = [];
      const broken = driver.tailEvents({ sessionId: "s" });
      for await (const { eventIndex } of broken) {
        given.push(eventIndex);
        break;
      }
      assert.deepEqual(given, [1]);
      assert.deepEqual(await broken.next(), ENDED);

      const returned = driver.tailEvents({ sessionId: "s", afterIndex: 1 });
      const waiting = range(0, 3).map(() => returned.next());
      assert.equal((await waiting[0]!).value?.eventIndex, 2);
      assert.deepEqual(await returned.return!(), ENDED);
      assert.deepEqual(await Promise.all(waiting.slice(1)), [ENDED, ENDED]);
      assert.deepEqual([await returned.next(), await returned.return!()], [ENDED, ENDED]);

      const own = new RangeError("the caller's own");
      const thrown = driver.tailEvents({ sessionId: "s", afterIndex: 2 });
      const next = thrown.next();
      await assert.rejects(thrown.throw!(own), own);
      assert.deepEqual([await next, await thrown.next()], [ENDED, ENDED]);

      const unused = driver.tailEvents({ sessionId: "s" });
      await unused.return!();
      assert.deepEqual(await unused.next(), ENDED);

      if (!Symbol.asyncDispose) return;
      const disposed = driver.tailEvents({ sessionId: "s" }) as Tail & AsyncDisposable;
      await disposed[Symbol.asyncDispose]();
      assert.deepEqual(await disposed.next(), ENDED);
    });

    oursOnly(
      "a signal ends it with an AbortError: before it begins, in mid-page, while it waits, and ever after",
      async (t) => {
        const driver = await opened(t);
        await write(driver, [1, 2]);
        const reason = new RangeError("the caller's own");
        const aborted = { name: "AbortError", code: "ABORT_ERR", cause: reason };
        for (const before of [0, 1, 2]) {
          const controller = new AbortController();
          const tail = driver.tailEvents({ sessionId: "s", signal: controller.signal });
          await take(tail, before);
          controller.abort(reason);
          await assert.rejects(tail.next(), aborted);
          await assert.rejects(tail.next(), aborted);
          assert.deepEqual([await tail.return!(), await tail.next()], [ENDED, ENDED]);
        }
        await assert.rejects(driver.tailEvents({ sessionId: "s", signal: AbortSignal.abort(reason) }).next(), aborted);

        const controller = new AbortController();
        const tail = driver.tailEvents({ sessionId: "s", afterIndex: 2, signal: controller.signal });
        const waiting = [tail.next(), tail.next()];
        await write(driver, [1], "other");
        controller.abort(reason);
        for (const call of [...waiting, tail.next()]) await assert.rejects(call, aborted);
        await write(driver, [3]);
        await assert.rejects(tail.next(), aborted);
      },
    );

    oursOnly("a signal that stands for another one ends it too", async (t) => {
      const driver = await opened(t);
      const controller = new AbortController();
      const { signal: wrapped } = controller;
      const signal = {
        get aborted() {
          return wrapped.aborted;
        },
        addEventListener: wrapped.addEventListener.bind(wrapped),
        removeEventListener: wrapped.removeEventListener.bind(wrapped),
      };
      const waits = driver.tailEvents({ sessionId: "s", signal: signal as AbortSignal }).next();
      controller.abort();
      const ended = waits.catch(({ name }: Error) => name);
      // It may be told in the turn in which the first write is, and then comes a few microtasks after it.
      const later = write(driver, [1], "other").then(() => write(driver, [2], "other"));
      assert.equal(await Promise.race([ended, later]), "AbortError");
    });

    oursOnly("a signal that is aborted once it has ended changes nothing", async (t) => {
      const driver = await opened(t);
      const controller = new AbortController();
      const tail = driver.tailEvents({ sessionId: "s", signal: controller.signal });
      await tail.return!();
      controller.abort();
      assert.deepEqual(await tail.next(), ENDED);
    });

    oursOnly("close ends it quietly, after what was stored, and does not wait for it", async (t) => {
      const driver = await opened(t);
      const [waits, idle, gets] = [follow(t, driver, { sessionId: "other" }), follow(t, driver), follow(t, driver)];
      const waiting = [waits.next(), waits.next()];
      await write(driver, [1]);
      assert.deepEqual(await takeIndexes(idle, 1), [1]);
      assert.deepEqual(await takeIndexes(gets, 1), [1]);
      const last = gets.next();
      const written = write(driver, [2]);
      await driver.close();
      await written;
      assert.deepEqual(await Promise.all(waiting), [ENDED, ENDED]);
      assert.equal((await last).value?.eventIndex, 2);
      assert.deepEqual([await idle.next(), await gets.next(), await waits.next()], [ENDED, ENDED, ENDED]);
      const late = driver.tailEvents({ sessionId: "s" });
      await assert.rejects(late.next(), { code: "ERR_PERSIST_CLOSED" });
      assert.deepEqual(await late.next(), ENDED);
    });

    oursOnly("close gives what is stored though an index before it is missing", async (t) => {
      const driver = await opened(t);
      const tail = follow(t, driver);
      await write(driver, [1]);
      assert.deepEqual(await takeIndexes(tail, 1), [1]);
      const next = tail.next();
      await driver.insertEvent("s", fresh(3));
      await driver.close();
      assert.equal((await next).value?.eventIndex, 3);
      assert.deepEqual(await tail.next(), ENDED);
    });

    oursOnly("a session that is deleted ends it, after what it has yielded", async (t) => {
      const driver = await opened(t);
      await write(driver, [1, 2]);
      const [waits, reads, other] = [follow(t, driver), follow(t, driver), follow(t, driver, { sessionId: "other" })];
      assert.deepEqual(await takeIndexes(waits, 2), [1, 2]);
      assert.deepEqual(await takeIndexes(reads, 1), [1]);
      const next = waits.next();
      await driver.deleteSession("s");
      assert.deepEqual(await next, ENDED);
      assert.deepEqual(await takeIndexes(reads, 1), [2]);
      assert.deepEqual(await Promise.all([reads.next(), waits.next(), follow(t, driver).next()]), [
        ENDED,
        ENDED,
        ENDED,
      ]);
      const live = other.next();
      await write(driver, [1], "other");
      assert.equal((await live).value?.eventIndex, 1);
    });

    oursOnly("wrong arguments reject the first next(), and nothing throws", async (t) => {
      const driver = await opened(t);
      const own = new RangeError("the caller's own");
      const getter = (field: string) => Object.defineProperty({ sessionId: "s" }, field, { get: () => { throw own; } }); // prettier-ignore
      const wrong: [unknown, RegExp][] = [
        [undefined, /^request must be an object/],
        ["s", /^request must be an object/],
        [{}, /^request\.sessionId must be a string/],
        [{ sessionId: 5 }, /^request\.sessionId must be a string/],
        [{ sessionId: "\ud800" }, /^request\.sessionId must be well-formed/],
        ...["1", {}, 1n, null].map((afterIndex) => [{ sessionId: "s", afterIndex }, /^request\.afterIndex must be an integer, it is/] as [unknown, RegExp]), // prettier-ignore
        ...[0.5, NaN, Infinity, MAX + 1, -MAX - 1].map((afterIndex) => [{ sessionId: "s", afterIndex }, /^request\.afterIndex must be an integer no larger/] as [unknown, RegExp]), // prettier-ignore
        ...["stop", {}, 5, null].map((signal) => [{ sessionId: "s", signal }, /^request\.signal must be an AbortSignal/] as [unknown, RegExp]), // prettier-ignore
      ];
      for (const [request, message] of wrong) {
        const tail = driver.tailEvents(request as never);
        await assert.rejects(tail.next(), { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT", message });
        assert.deepEqual(await tail.next(), ENDED);
      }
      const misspelt = driver.tailEvents({ sessionId: "s", after: 5 } as never);
      await assert.rejects(misspelt.next(), {
        name: "TypeError",
        message: /^request\.after is not a field of tailEvents/,
      });
      for (const field of ["sessionId", "afterIndex", "signal"]) {
        const tail = driver.tailEvents(getter(field) as never);
        await assert.rejects(tail.next(), { code: "ERR_PERSIST_INVALID_ARGUMENT", cause: own });
      }
      const detached = driver.tailEvents.call({} as never, { sessionId: "s" });
      await assert.rejects(detached.next(), { code: "ERR_PERSIST_INVALID_ARGUMENT" });
      const nothing = { sessionId: "s", afterIndex: undefined, signal: undefined };
      await write(driver, [1]);
      assert.deepEqual(await takeIndexes(follow(t, driver, nothing), 1), [1]);
    });
  });
}
