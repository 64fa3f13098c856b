/**
 * The contract of `SessionPersistDriver`, as one suite for every driver: order, paging, replacing, and values that come
 * back as they went in. Cases whose names begin with "ours:" are promises that the SDK's own in-memory driver does not
 * make: it pages by offset, stores a retried event twice, and copies a record only at the top.
 */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import fc from "fast-check";
import type { ListPage, SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent";

/** A driver under test. The SDK's interface has no `close`; a driver that has one is closed after its test. */
export type ContractDriver = SessionPersistDriver & { close?(): Promise<void> };

/** Opens a new, empty driver. */
export type OpenDriver = (options?: { onEventIndexConflict?: "reassign" | "reject" }) => Promise<ContractDriver>;

/** How the suite treats the driver. */
export interface ContractOptions {
  /** Whether the driver is one of this package, so that the cases named "ours:" apply. */
  ours: boolean;
  /** Deletes a row as another program would, with plain SQL. Without it rows only come, and none go. */
  remove?: (driver: ContractDriver, row: { session: string; eventIndex?: number }) => Promise<void>;
}

/** Registers the suite for the driver that `open` opens. */
export function contract(name: string, open: OpenDriver, { ours, remove }: ContractOptions): void {
  const fresh = async (t: TestContext, options?: Parameters<OpenDriver>[0]) => {
    const driver = await open(options);
    t.after(() => driver.close?.());
    return driver;
  };
  /** Registers a case only where the driver is ours. */
  const oursOnly = (sentence: string, run: (t: TestContext) => Promise<void>) => {
    if (ours) test(`ours: ${sentence}`, run);
  };

  describe(`${name}: sessions`, () => {
    test("getSession of an unknown id resolves to undefined", async (t) => {
      const driver = await fresh(t);
      assert.equal(await driver.getSession("nobody"), undefined);
    });

    test("a record comes back with every field it had", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession(FULL);
      assert.deepEqual(present(await driver.getSession("full")), FULL);
      assert.deepEqual(present(await driver.listSessions()), { items: [FULL] });
    });

    test("fields that a record does not have are absent, not null", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession(record("bare"));
      assert.deepEqual(present(await driver.getSession("bare")), record("bare"));
    });

    test("a replaced record loses the fields that are undefined in the new one", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession({ ...FULL, fromNewerSdk: 1 } as SessionRecord);
      await driver.updateSession({
        ...record("full", { agent: "second", createdAt: 9 }),
        destroyedAt: undefined,
        sandboxId: undefined,
        sessionInit: undefined,
        configOptions: undefined,
        modes: undefined,
      });
      const expected = record("full", { agent: "second", createdAt: 9 });
      assert.deepEqual(present(await driver.getSession("full")), expected);
      assert.deepEqual(present((await driver.listSessions()).items), [expected]);
    });

    test("modes that are null stay null, and absent modes stay absent", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession(record("null", { modes: null }));
      await driver.updateSession(record("absent"));
      assert.equal((await driver.getSession("null"))?.modes, null);
      assert.equal((await driver.getSession("absent"))?.modes, undefined);
      await driver.updateSession(record("null"));
      assert.equal((await driver.getSession("null"))?.modes, undefined);
    });

    test("fields that this release does not know are kept", async (t) => {
      const driver = await fresh(t);
      const newer = { ...FULL, fromNewerSdk: { deep: [1, null, "\u0000"] }, zero: 0, no: false, "": "empty name" };
      await driver.updateSession(newer);
      assert.deepEqual(present(await driver.getSession("full")), newer);
    });

    test("a later change of the caller's record does not leak in", async (t) => {
      const driver = await fresh(t);
      const mine = record("mine", { agent: "before" });
      const stored = driver.updateSession(mine);
      mine.agent = "after";
      await stored;
      const read = await driver.getSession("mine");
      assert.equal(read?.agent, "before");
      read.agent = "after";
      assert.equal((await driver.getSession("mine"))?.agent, "before");
    });

    oursOnly("a later change deep inside the caller's record does not leak in", async (t) => {
      const driver = await fresh(t);
      const mine = structuredClone(FULL);
      const stored = driver.updateSession(mine);
      mine.sessionInit!.cwd = "/elsewhere";
      mine.modes!.availableModes.length = 0;
      await stored;
      assert.deepEqual(present(await driver.getSession("full")), FULL);
    });

    oursOnly("destroyedAt and sandboxId that are null come back absent", async (t) => {
      const driver = await fresh(t);
      await driver.updateSession({ ...record("s"), destroyedAt: null, sandboxId: null } as never);
      assert.deepEqual(await driver.getSession("s"), record("s"));
    });

    test("sessions come in order of createdAt, then id, however they were inserted", async (t) => {
      const driver = await fresh(t);
      const places: [number, string][] = [[5, "a"], [3, "b"], [3, "a"], [-1, "z"], [0, "m"], [3, "c"], [MAX, "a2"]]; // prettier-ignore
      for (const [createdAt, id] of places) await driver.updateSession(record(`${id}${createdAt}`, { createdAt }));
      const ids = (await driver.listSessions()).items.map(({ id }) => id);
      assert.deepEqual(ids, ["z-1", "m0", "a3", "b3", "c3", "a5", `a2${MAX}`]);
    });

    oursOnly("sessions of one time come in order of the code points of their ids", async (t) => {
      const driver = await fresh(t);
      const inOrder = ["", "10", "9", "A", "B", "a", "a b", "ab", "é", "\uffff", "😀"];
      for (const id of inOrder.toReversed()) await driver.updateSession(record(id));
      assert.deepEqual(
        (await scan(({ cursor }) => driver.listSessions({ cursor, limit: 3 }))).map(({ id }) => id),
        inOrder,
      );
    });

    test("a session whose createdAt changes moves in the list", async (t) => {
      const driver = await fresh(t);
      for (const id of ["a", "b", "c"]) await driver.updateSession(record(id));
      await driver.updateSession(record("a", { createdAt: 2_000_000_000_000 }));
      assert.deepEqual(
        (await driver.listSessions()).items.map(({ id }) => id),
        ["b", "c", "a"],
      );
    });
  });

  describe(`${name}: events`, () => {
    test("the events of an unknown session are an empty page", async (t) => {
      const driver = await fresh(t);
      assert.deepEqual(present(await driver.listEvents({ sessionId: "nobody" })), { items: [] });
    });

    test("an event comes back with every field it had", async (t) => {
      const driver = await fresh(t);
      const client = event("s", 0, { jsonrpc: "2.0", id: 1, method: "session/prompt" }, { sender: "client" });
      const agent = event("s", MAX, { jsonrpc: "2.0", id: 1, result: {} }, { createdAt: -MAX });
      await driver.insertEvent("s", client);
      await driver.insertEvent("s", agent);
      assert.deepEqual(present(await driver.listEvents({ sessionId: "s" })), { items: [client, agent] });
    });

    test("fields that this release does not know are kept", async (t) => {
      const driver = await fresh(t);
      const newer = event("s", 1, {}, { fromNewerSdk: { deep: [1, null] }, no: false } as Partial<SessionEvent>);
      await driver.insertEvent("s", newer);
      assert.deepEqual(present((await driver.listEvents({ sessionId: "s" })).items), [newer]);
    });

    test("events may come before their session's record, and stay when it comes", async (t) => {
      const driver = await fresh(t);
      await driver.insertEvent("s", event("s", 1));
      await driver.insertEvent("s", event("s", 2));
      assert.equal(await driver.getSession("s"), undefined);
      await driver.updateSession(record("s"));
      await driver.insertEvent("s", event("s", 3));
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s" })), [1, 2, 3]);
    });

    test("events come in order of their index, as a number, however they were inserted", async (t) => {
      const driver = await fresh(t);
      for (const index of [10, 2, 1000, 0, 9, 100, 1, 99]) await driver.insertEvent("s", event("s", index));
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s" })), [0, 1, 2, 9, 10, 99, 100, 1000]);
    });

    test("each session has its own events", async (t) => {
      const driver = await fresh(t);
      for (const session of ["a", "A", "a ", "", "ab"])
        await driver.insertEvent(session, event(session, 1, { session }));
      for (const session of ["a", "A", "a ", "", "ab"]) {
        const { items } = await driver.listEvents({ sessionId: session });
        assert.deepEqual(present(items), [event(session, 1, { session })]);
      }
    });

    test("inserts that are called at once are all stored", async (t) => {
      const driver = await fresh(t);
      await Promise.all(Array.from({ length: 300 }, (_, index) => driver.insertEvent("s", event("s", index))));
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", limit: 1000 })), range(0, 300));
    });

    test("a later change of the caller's event does not leak in", async (t) => {
      const driver = await fresh(t);
      const payload = { list: [1, { deep: "before" }] };
      const mine = event("s", 1, payload);
      const stored = driver.insertEvent("s", mine);
      (payload.list[1] as { deep: string }).deep = "after";
      mine.createdAt = 0;
      await stored;
      const [read] = (await driver.listEvents({ sessionId: "s" })).items;
      assert.deepEqual(present(read), event("s", 1, { list: [1, { deep: "before" }] }));
      Object.assign(read!.payload, { list: "after" });
      const [again] = (await driver.listEvents({ sessionId: "s" })).items;
      assert.deepEqual(again?.payload, { list: [1, { deep: "before" }] });
    });

    oursOnly("the same event twice is one row, the second in place of the first", async (t) => {
      const driver = await fresh(t);
      await driver.insertEvent("s", event("s", 1, { try: 1 }, { extra: 1 } as Partial<SessionEvent>));
      const second = event("s", 1, { try: 2 }, { createdAt: 2, connectionId: "other", sender: "client" });
      await driver.insertEvent("s", second);
      assert.deepEqual(await driver.listEvents({ sessionId: "s" }), { items: [second] });
      assert.equal(second.eventIndex, 1);
    });

    oursOnly(
      "an event whose index is taken gets the next free one, on the very object, before the promise resolves",
      async (t) => {
        const driver = await fresh(t);
        await driver.insertEvent("s", event("s", 1));
        await driver.insertEvent("s", event("s", 7));
        const late = event("s", 1, { late: true }, { id: "late" });
        await driver.insertEvent("s", late);
        assert.equal(late.eventIndex, 8);
        const { items } = await driver.listEvents({ sessionId: "s" });
        assert.deepEqual(items, [event("s", 1), event("s", 7), late]);
      },
    );

    oursOnly("of events that are inserted at one index at once, each gets an index of its own", async (t) => {
      const driver = await fresh(t);
      const events = range(0, 50).map((n) => event("s", 5, { n }, { id: `e${n}` }));
      await Promise.all(events.map((each) => driver.insertEvent("s", each)));
      assert.deepEqual(indexes({ items: events }), range(5, 55), "in the order of the calls");
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, events);
    });

    oursOnly("no index beyond the safe integers is given: the event is refused", async (t) => {
      const driver = await fresh(t);
      await driver.insertEvent("s", event("s", MAX));
      const refused = event("s", MAX, {}, { id: "other" });
      await assert.rejects(driver.insertEvent("s", refused), { code: "ERR_PERSIST_INDEX_CONFLICT" });
      assert.equal(refused.eventIndex, MAX);
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [event("s", MAX)]);
    });

    oursOnly("with reject, a taken index is the error that makes the SDK try its next one", async (t) => {
      const driver = await fresh(t, { onEventIndexConflict: "reject" });
      await driver.insertEvent("s", event("s", 1));
      const late = event("s", 1, { late: true }, { id: "late" });
      await assert.rejects(driver.insertEvent("s", late), (error: Error & { code?: string }) => {
        assert.ok(error instanceof Error);
        assert.match(error.message, /UNIQUE constraint failed: .*session_id, .*event_index/);
        assert.equal(error.code, "ERR_PERSIST_INDEX_CONFLICT");
        return true;
      });
      assert.equal(late.eventIndex, 1);
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [event("s", 1)]);
      await driver.insertEvent("s", event("s", 1, { retried: true }));
      assert.deepEqual((await driver.listEvents({ sessionId: "s" })).items, [event("s", 1, { retried: true })]);
    });

    oursOnly("a bad write among good ones rejects alone", async (t) => {
      const driver = await fresh(t, { onEventIndexConflict: "reject" });
      const writes = [event("s", 1), event("s", 1, {}, { id: "taken" }), event("s", -1), event("s", 2)];
      const results = await Promise.allSettled(writes.map((each) => driver.insertEvent("s", each)));
      assert.deepEqual(
        results.map((result) => (result.status === "fulfilled" ? "stored" : result.reason.code)),
        ["stored", "ERR_PERSIST_INDEX_CONFLICT", "ERR_PERSIST_INVALID_ARGUMENT", "stored"],
      );
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s" })), [1, 2]);
    });
  });

  describe(`${name}: pages`, () => {
    for (const limit of [undefined, NaN, Infinity, -Infinity, -1, 0, 0.5]) {
      test(`a limit of ${limit} means 100`, async (t) => {
        const driver = await fresh(t);
        await fill(driver, 101);
        const events = await driver.listEvents({ sessionId: "s", limit });
        const sessions = await driver.listSessions({ limit });
        assert.equal(events.items.length, 100);
        assert.equal(sessions.items.length, 100);
        assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", limit, cursor: events.nextCursor })), [100]);
        assert.equal((await driver.listSessions({ limit, cursor: sessions.nextCursor })).items.length, 1);
      });
    }

    for (const [limit, items] of [
      [1, 1],
      [1.99, 1],
      [2.9, 2],
      [4, 4],
      [5, 5],
      [1e300, 5],
      [2 ** 32 + 1, 5],
    ] as const) {
      test(`a limit of ${limit} gives ${items} of 5 rows`, async (t) => {
        const driver = await fresh(t);
        await fill(driver, 5);
        assert.equal((await driver.listEvents({ sessionId: "s", limit })).items.length, items);
        assert.equal((await driver.listSessions({ limit })).items.length, items);
      });
    }

    test("a request that is left out, or empty, is the first page", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 2);
      const first = await driver.listSessions();
      assert.equal(first.items.length, 2);
      assert.deepEqual(await driver.listSessions({}), first);
      assert.deepEqual(await driver.listSessions({ cursor: undefined, limit: undefined }), first);
    });

    test("the last page has no cursor, also when it is full", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 6);
      for (const list of lists(driver)) {
        assert.deepEqual(await sizes(list, 3), [3, 3]);
        assert.deepEqual(await sizes(list, 4), [4, 2]);
        assert.deepEqual(await sizes(list, 6), [6]);
        assert.deepEqual(await sizes(list, 7), [6]);
        assert.deepEqual(await sizes(list, 1), [1, 1, 1, 1, 1, 1]);
      }
    });

    test("a cursor of digits only is an offset, also past the end", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 5);
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: "0", limit: 2 })), [0, 1]);
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: "3" })), [3, 4]);
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: "0004" })), [4]);
      assert.deepEqual(
        (await driver.listSessions({ cursor: "2", limit: 2 })).items.map(({ id }) => id),
        ["s0002", "s0003"],
      );
      for (const cursor of ["5", "6", "4294967296", "99999999999999999999999"]) {
        assert.deepEqual(present(await driver.listEvents({ sessionId: "s", cursor })), { items: [] });
        assert.deepEqual(present(await driver.listSessions({ cursor })), { items: [] });
      }
    });

    test("the pages after an offset go on where it began", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 9);
      for (const list of lists(driver)) assert.deepEqual(await sizes(list, 3, "2"), [3, 3, 1]);
    });

    test("rows that come at the end between pages are seen", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 4);
      const events = await driver.listEvents({ sessionId: "s", limit: 2 });
      const sessions = await driver.listSessions({ limit: 2 });
      await driver.insertEvent("s", event("s", 50));
      await driver.updateSession(record("s9999"));
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: events.nextCursor })), [2, 3, 50]);
      assert.deepEqual(
        (await driver.listSessions({ cursor: sessions.nextCursor })).items.map(({ id }) => id),
        ["s0002", "s0003", "s9999"],
      );
    });

    oursOnly("rows that come before the cursor make no other row repeat or be skipped", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 6, { from: 10 });
      const events = await driver.listEvents({ sessionId: "s", limit: 3 });
      const sessions = await driver.listSessions({ limit: 3 });
      for (const early of [0, 1, 2, 3]) {
        await driver.insertEvent("s", event("s", early));
        await driver.updateSession(record(`early${early}`, { createdAt: 1 }));
      }
      assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: events.nextCursor })), [13, 14, 15]);
      assert.deepEqual(
        (await driver.listSessions({ cursor: sessions.nextCursor })).items.map(({ id }) => id),
        ["s0013", "s0014", "s0015"],
      );
    });

    if (remove) {
      oursOnly("rows that go between pages make no other row repeat or be skipped", async (t) => {
        const driver = await fresh(t);
        await fill(driver, 8);
        const events = await driver.listEvents({ sessionId: "s", limit: 4 });
        const sessions = await driver.listSessions({ limit: 4 });
        // The row that the cursor names, one before it, and one after it.
        for (const index of [1, 3, 5]) {
          await remove(driver, { session: "s", eventIndex: index });
          await remove(driver, { session: `s000${index}` });
        }
        assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", cursor: events.nextCursor })), [4, 6, 7]);
        assert.deepEqual(
          (await driver.listSessions({ cursor: sessions.nextCursor })).items.map(({ id }) => id),
          ["s0004", "s0006", "s0007"],
        );
        assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s" })), [0, 2, 4, 6, 7], "they did go");
      });
    }

    oursOnly("a scan while rows come everywhere sees each row once, in order, and all that were there", async (t) => {
      const driver = await fresh(t);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(fc.nat(60), { minLength: 1, maxLength: 20 }),
          fc.array(fc.nat(60), { maxLength: 20 }),
          fc.integer({ min: 1, max: 4 }),
          async (before, during, limit) => {
            const sessionId = `scan${run++}`;
            await Promise.all(before.map((index) => driver.insertEvent(sessionId, event(sessionId, index))));
            const seen = await scan(async ({ cursor }) => {
              const page = await driver.listEvents({ sessionId, cursor, limit });
              const next = during.pop();
              if (next !== undefined) await driver.insertEvent(sessionId, event(sessionId, next));
              return page;
            });
            const order = indexes({ items: seen });
            assert.deepEqual(order, [...new Set(order)].sort(byNumber));
            assert.deepEqual(
              before.filter((index) => !order.includes(index)),
              [],
            );
          },
        ),
        { numRuns: 60 },
      );
    });

    test("a cursor may be used again, with another limit", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 6);
      const { nextCursor } = await driver.listEvents({ sessionId: "s", limit: 2 });
      for (const limit of [1, 2, 3]) {
        const page = await driver.listEvents({ sessionId: "s", cursor: nextCursor, limit });
        assert.deepEqual(indexes(page), range(2, 2 + limit));
      }
    });

    oursOnly("a cursor of the other list is refused", async (t) => {
      const driver = await fresh(t);
      await fill(driver, 3);
      const ofEvents = (await driver.listEvents({ sessionId: "s", limit: 1 })).nextCursor;
      const ofSessions = (await driver.listSessions({ limit: 1 })).nextCursor;
      const refusal = { name: "TypeError", code: "ERR_PERSIST_INVALID_ARGUMENT", message: /cursor/ };
      await assert.rejects(driver.listSessions({ cursor: ofEvents }), refusal);
      await assert.rejects(driver.listEvents({ sessionId: "s", cursor: ofSessions }), refusal);
    });

    test("cursors lead through sessions whose ids hold what cursors are made of", async (t) => {
      const driver = await fresh(t);
      const ids = ["5", ":", "a:b", "e1:5", "s1:5:a", '"\\\n', "é😀", ""];
      for (const id of ids) await driver.updateSession(record(id));
      const seen = await scan(({ cursor }) => driver.listSessions({ cursor, limit: 1 }));
      assert.deepEqual(seen.map(({ id }) => id).sort(), ids.sort());
    });
  });

  describe(`${name}: values`, () => {
    for (const [what, payload] of PAYLOADS) {
      test(`${what} comes back equal`, async (t) => {
        const driver = await fresh(t);
        assertSame(await roundTrip(driver, payload), payload);
      });
    }

    test("an own __proto__ key comes back as an own key, at every depth", async (t) => {
      const driver = await fresh(t);
      const payload = JSON.parse('{"__proto__":{"a":1},"deep":[{"__proto__":null,"constructor":2}]}');
      const read = (await roundTrip(driver, payload)) as typeof payload;
      assert.deepEqual(Object.keys(read), ["__proto__", "deep"]);
      assert.deepEqual(Object.keys(read.deep[0]), ["__proto__", "constructor"]);
      assert.equal(Object.getPrototypeOf(read), Object.prototype);
      assert.equal(({} as { a?: number }).a, undefined);
      assertSame(read, payload);
    });

    test("an own __proto__ key of a record comes back as an own key", async (t) => {
      const driver = await fresh(t);
      const given = { ...JSON.parse('{"__proto__":{"polluted":true}}'), ...record("s") };
      Object.defineProperty(given, "__proto__", { value: { polluted: true }, enumerable: true });
      await driver.updateSession(given);
      const read = present(await driver.getSession("s"));
      assert.deepEqual(Object.getOwnPropertyDescriptor(read, "__proto__")?.value, { polluted: true });
      assert.equal((read as { polluted?: boolean }).polluted, undefined);
    });

    test("-0 comes back as 0, as JSON has it", async (t) => {
      const driver = await fresh(t);
      assert.deepEqual(await roundTrip(driver, { n: -0, list: [-0] }), { n: 0, list: [0] });
    });

    test("what JSON leaves out is left out: undefined, functions, symbols; toJSON is heeded", async (t) => {
      const driver = await fresh(t);
      const payload = { u: undefined, f() {}, s: Symbol("s"), list: [undefined, NaN], at: new Date(0), map: new Map() };
      assert.deepEqual(await roundTrip(driver, payload), {
        list: [null, null],
        at: "1970-01-01T00:00:00.000Z",
        map: {},
      });
    });

    test("3,000 levels of nesting come back equal", async (t) => {
      const driver = await fresh(t);
      for (const [before, after] of [
        ["[", "]"],
        ['{"a":', "}"],
      ] as const) {
        const text = `${before.repeat(3000)}1${after.repeat(3000)}`;
        // The text is compared: comparing the values would itself recurse too deep.
        assert.ok(JSON.stringify(await roundTrip(driver, { deep: JSON.parse(text) })) === `{"deep":${text}}`);
      }
    });

    test("very deep nesting comes back equal or is a rejection, and the driver goes on", async (t) => {
      const driver = await fresh(t);
      const deep = JSON.parse(`${"[".repeat(200_000)}${"]".repeat(200_000)}`);
      const refused = await driver.insertEvent("s", event("s", 1, { deep })).catch((error: unknown) => error);
      if (refused) assert.ok(refused instanceof Error);
      // Only newer engines turn such a value into text.
      else assert.ok(JSON.stringify((await payloads(driver))[0]) === JSON.stringify({ deep }));
      await driver.insertEvent("s", event("s", 2));
      assert.equal(indexes(await driver.listEvents({ sessionId: "s" })).at(-1), 2);
    });

    test("a payload of 32 MiB comes back equal", async (t) => {
      const driver = await fresh(t);
      const text = "0123456789 abcdef é€😀\n".repeat((32 << 20) / 30);
      const read = (await roundTrip(driver, { text })) as { text: string };
      // Not assert.equal: its message would hold both.
      assert.ok(read.text === text);
    });

    test("any JSON value comes back equal, key order and lone surrogates included", async (t) => {
      const driver = await fresh(t);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(anyJson, fc.boolean(), async (payload, nested) => {
          const given = nested ? { payload } : payload;
          assertSame(await roundTrip(driver, given, `s${run++}`), given);
        }),
        { numRuns: 300 },
      );
    });

    test("any record comes back equal", async (t) => {
      const driver = await fresh(t);
      await fc.assert(
        fc.asyncProperty(anyRecord, async (given) => {
          await driver.updateSession(given);
          assert.deepEqual(present(await driver.getSession(given.id)), present(given));
        }),
        { numRuns: 300 },
      );
    });
  });

  describe(`${name}: a model`, () => {
    test("any inserts, read in pages of any sizes, are the sorted list", async (t) => {
      const driver = await fresh(t);
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(fc.nat(200), { maxLength: 30 }),
          fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 }),
          async (order, limits) => {
            const sessionId = `s${run++}`;
            await Promise.all(order.map((index) => driver.insertEvent(sessionId, event(sessionId, index))));
            const seen = await scan(({ cursor, page }) =>
              driver.listEvents({ sessionId, cursor, limit: limits[page % limits.length] }),
            );
            const expected = order.toSorted(byNumber).map((index) => event(sessionId, index));
            assert.deepEqual(present(seen), expected);
          },
        ),
        { numRuns: 100 },
      );
    });

    test("any inserts and replacements of sessions, read in pages of any sizes, are the sorted list", async (t) => {
      const model = new Map<string, SessionRecord>();
      const driver = await fresh(t);
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(25), fc.nat(6)), { maxLength: 6 }),
          fc.integer({ min: 1, max: 12 }),
          async (writes, limit) => {
            for (const [id, createdAt] of writes) model.set(`s${id + 100}`, record(`s${id + 100}`, { createdAt }));
            const calls = writes.map(([id, createdAt]) => driver.updateSession(record(`s${id + 100}`, { createdAt })));
            await Promise.all(calls);
            const seen = await scan(({ cursor }) => driver.listSessions({ cursor, limit }));
            const expected = [...model.values()].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
            assert.deepEqual(present(seen), expected);
          },
        ),
        // The sessions of earlier runs stay, in the driver and in the model, so a failed run cannot be shrunk.
        { numRuns: 100, endOnFailure: true },
      );
    });

    oursOnly("any inserts with retries and conflicts leave what the rules say", async (t) => {
      const driver = await fresh(t);
      let run = 0;
      const write = fc.record({ index: fc.nat(8), id: fc.constantFrom("a", "b", "c"), n: fc.nat() });
      await fc.assert(
        fc.asyncProperty(fc.array(write, { maxLength: 25 }), fc.boolean(), async (writes, atOnce) => {
          const sessionId = `s${run++}`;
          const model = new Map<number, SessionEvent>();
          let moved = -1;
          const given: SessionEvent[] = [];
          const expectedIndexes: number[] = [];
          const calls: Promise<void>[] = [];
          for (const { index, id, n } of writes) {
            const each = event(sessionId, index, { n }, { id });
            given.push(each);
            const call = driver.insertEvent(sessionId, each);
            calls.push(call);
            if (!atOnce) await call;
            const taken = model.get(index);
            const stays = taken ? taken.id === id : index > moved;
            const place = stays ? index : Math.max(...model.keys()) + 1;
            if (!stays) moved = place;
            model.set(place, event(sessionId, place, { n }, { id }));
            expectedIndexes.push(place);
          }
          await Promise.all(calls);
          assert.deepEqual(indexes({ items: given }), expectedIndexes);
          const expected = [...model.values()].sort((a, b) => a.eventIndex - b.eventIndex);
          assert.deepEqual((await driver.listEvents({ sessionId })).items, expected);
        }),
        { numRuns: 100 },
      );
    });
  });
}

const MAX = Number.MAX_SAFE_INTEGER;

const FULL: SessionRecord = {
  id: "full",
  agent: "mock",
  agentSessionId: "agent-session",
  lastConnectionId: "connection",
  createdAt: 1_700_000_000_000,
  destroyedAt: 1_700_000_000_001,
  sandboxId: "local/127.0.0.1:2468",
  sessionInit: { cwd: "/srv/project", mcpServers: [] },
  configOptions: [],
  modes: { currentModeId: "plan", availableModes: [{ id: "plan", name: "Plan\u0000\ud800" }] },
};

const PAYLOADS: [string, unknown][] = [
  ["an empty object", {}],
  ["a payload with NUL in values and keys", { "\u0000": "a\u0000b", text: "\u0000" }],
  ["a payload with lone surrogates", { text: "\ud800 and \udfff", "\udead": "\udc00\ud800" }],
  ["a payload with emoji and other scripts", { text: "👩‍👩‍👧‍👦 🇩🇪 é e\u0301 日本 \u202eabc", "🙂": "\ufeff\ufffe\uffff" }],
  ["a payload with every control character", { text: String.fromCharCode(...range(0, 0xa0)), line: "\u2028\u2029" }],
  ["a payload with quotes, slashes and text that looks like JSON", { text: '\\"\\u0000{"a":[1,2]}\\/', '"': "'" }],
  ["a payload whose keys are in an order of their own", { z: 1, a: { y: 1, b: 2 }, m: 3, "10": 4, "9": 5, "": 6 }],
  ["large and small numbers", { big: 1e21, huge: Number.MAX_VALUE, small: 5e-324, third: 1 / 3, unsafe: 2 ** 53 }],
  ["numbers at the edges of integers", [MAX, -MAX, 2 ** 31, 2 ** 63, 1e20, 123456789012345680000]],
  ["a payload that is an array", [[], [[]], {}, [null]]],
  ["a payload that is a string", "just text"],
  ["a payload that is an empty string", ""],
  ["a payload that is a number", 0],
  ["a payload that is false", false],
  ["a payload that is null", null],
  ["a payload with 10,000 keys", Object.fromEntries(range(0, 10_000).map((n) => [`key ${n}`, n]))],
];

/** Every UTF-16 unit by itself: pairs are rare, so nearly all surrogates are lone. NUL and quotes come more often. */
const anyUnit = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) },
  { weight: 2, arbitrary: fc.constantFrom("\u0000", '"', "\\", "\ud800", "\udc00", "a", "__proto__") },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }) },
);
/** As JSON has it: -0, which JSON does not have, is a case of its own. */
const anyJson = fc.jsonValue({ stringUnit: anyUnit, maxDepth: 4 }).map(present);

/** Ids and names go into text columns, so they are well formed; what is JSON may hold anything. */
const anyName = fc.string({ unit: "grapheme", maxLength: 12 });
const anyTime = fc.maxSafeInteger();
const anyRecord: fc.Arbitrary<SessionRecord> = fc
  .record(
    {
      id: anyName,
      agent: anyName,
      agentSessionId: anyName,
      lastConnectionId: anyName,
      createdAt: anyTime,
      destroyedAt: anyTime,
      sandboxId: anyName,
      sessionInit: fc.dictionary(fc.string({ unit: anyUnit }), anyJson),
      configOptions: fc.array(anyJson, { maxLength: 3 }),
      modes: fc.option(fc.dictionary(fc.string({ unit: anyUnit }), anyJson)),
      fromNewerSdk: anyJson,
    },
    { requiredKeys: ["id", "agent", "agentSessionId", "lastConnectionId", "createdAt"] },
  )
  .map((any) => ({ ...any }) as unknown as SessionRecord);

function record(id: string, fields: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id,
    agent: "mock",
    agentSessionId: `agent-${id}`,
    lastConnectionId: "connection",
    createdAt: 1_700_000_000_000,
    ...fields,
  };
}

function event(
  sessionId: string,
  eventIndex: number,
  payload: unknown = {},
  fields: Partial<SessionEvent> = {},
): SessionEvent {
  return {
    id: `event-${eventIndex}`,
    eventIndex,
    sessionId,
    createdAt: 1_700_000_000_000,
    connectionId: "connection",
    sender: "agent",
    payload: payload as SessionEvent["payload"],
    ...fields,
  };
}

/** Stores `count` events of the session "s", and as many sessions, "s0000" and so on. */
async function fill(driver: ContractDriver, count: number, { from = 0 } = {}): Promise<void> {
  await Promise.all(
    range(from, from + count).flatMap((n) => [
      driver.insertEvent("s", event("s", n)),
      driver.updateSession(record(`s${String(n).padStart(4, "0")}`)),
    ]),
  );
}

type List = (request: { cursor?: string; limit?: number }) => Promise<ListPage<unknown>>;

function lists(driver: ContractDriver): List[] {
  return [(request) => driver.listEvents({ sessionId: "s", ...request }), (request) => driver.listSessions(request)];
}

async function sizes(list: List, limit: number, cursor?: string): Promise<number[]> {
  const found: number[] = [];
  do {
    const page = await list({ cursor, limit });
    found.push(page.items.length);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return found;
}

async function scan<T>(next: (at: { cursor?: string; page: number }) => Promise<ListPage<T>>): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; page === 0 || cursor !== undefined; page++) {
    assert.ok(page < 10_000, "the pages have no end");
    const read = await next({ cursor, page });
    items.push(...read.items);
    cursor = read.nextCursor;
  }
  return items;
}

async function roundTrip(driver: ContractDriver, payload: unknown, sessionId = "s"): Promise<unknown> {
  const { items: before } = await driver.listEvents({ sessionId });
  await driver.insertEvent(sessionId, event(sessionId, before.length, payload));
  const { items } = await driver.listEvents({ sessionId });
  assert.equal(items.length, before.length + 1);
  return items.at(-1)!.payload;
}

/** Equal as values, and as JSON text: the text also shows the order of keys and keys such as `__proto__`. */
function assertSame(actual: unknown, expected: unknown): void {
  assert.deepEqual(actual, expected);
  assert.equal(JSON.stringify(actual), JSON.stringify(expected));
}

/** The value without the fields that are undefined, which the in-memory driver leaves in its answers. */
function present<T>(value: T): T {
  return JSON.parse(JSON.stringify(value));
}

function indexes(page: { items: SessionEvent[] }): number[] {
  return page.items.map(({ eventIndex }) => eventIndex);
}

async function payloads(driver: SessionPersistDriver): Promise<unknown[]> {
  return (await driver.listEvents({ sessionId: "s" })).items.map(({ payload }) => payload);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

function byNumber(a: number, b: number): number {
  return a - b;
}
