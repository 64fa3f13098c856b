/** Lists with filters, and in descending order: what they hold, and whose cursors they take. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import fc from "fast-check";
import type { SessionRecord } from "sandbox-agent";
import type { EventListRequest, SessionListRequest } from "../../../index.js";
import type { ContractDriver, Suite } from "./driver.mts";
import { event, indexes, MAX, range, record, scan } from "./records.mts";

export function lists({ name, ours, oursOnly }: Suite): void {
  describe(`${name}: lists`, () => {
    oursOnly("a session is read back from its newest event, also while events come", async (t) => {
      const driver = await ours(t);
      await insert(driver, range(1, 121));
      const request = { sessionId: "s", order: "desc", limit: 50 } as const;
      const newest = await driver.listEvents(request);
      assert.deepEqual(indexes(newest), range(71, 121).toReversed());
      await insert(driver, [121, 122]);
      const middle = await driver.listEvents({ ...request, cursor: newest.nextCursor });
      assert.deepEqual(indexes(middle), range(21, 71).toReversed());
      const oldest = await driver.listEvents({ ...request, cursor: middle.nextCursor });
      assert.deepEqual(indexes(oldest), range(1, 21).toReversed());
      assert.equal(oldest.nextCursor, undefined);
    });

    oursOnly("afterIndex and beforeIndex leave out the index itself, in both orders", async (t) => {
      const driver = await ours(t);
      await insert(driver, [0, 2, 4, 6, MAX]);
      for (const [filter, expected] of [
        [{ afterIndex: 2 }, [4, 6, MAX]],
        [{ afterIndex: 3 }, [4, 6, MAX]],
        [{ afterIndex: -1 }, [0, 2, 4, 6, MAX]],
        [{ afterIndex: -MAX, beforeIndex: MAX }, [0, 2, 4, 6]],
        [{ afterIndex: 6 }, [MAX]],
        [{ afterIndex: MAX }, []],
        [{ beforeIndex: 4 }, [0, 2]],
        [{ beforeIndex: 0 }, []],
        [{ afterIndex: 0, beforeIndex: 6 }, [2, 4]],
        [{ afterIndex: 4, beforeIndex: 2 }, []],
      ] as const) {
        const list = (order: "asc" | "desc") =>
          scan(({ cursor }) => driver.listEvents({ sessionId: "s", ...filter, order, limit: 2, cursor }));
        assert.deepEqual(indexes({ items: await list("asc") }), expected);
        assert.deepEqual(indexes({ items: await list("desc") }), expected.toReversed());
      }
    });

    oursOnly("a method is what JSON.parse finds at the top of a message, and nothing else", async (t) => {
      const driver = await ours(t);
      const odd = 'a"\\/\u0000\n\u2028é😀';
      const payloads: [unknown, string | undefined][] = [
        [{ method: "session/prompt" }, "session/prompt"],
        [{ jsonrpc: "2.0", params: { method: "session/prompt" }, method: "session/update" }, "session/update"],
        [{ method: "session/prompt\u0000" }, "session/prompt\u0000"],
        [{ method: odd, "\ud800": "\ud800" }, odd],
        [{ method: "\ud800" }, undefined],
        [{ method: "" }, ""],
        [{ method: 1 }, undefined],
        [{ method: ["session/prompt"] }, undefined],
        [{ result: "session/prompt" }, undefined],
        [["method", "session/prompt"], undefined],
        ["session/prompt", undefined],
        [null, undefined],
        [5, undefined],
      ];
      for (const [index, [payload]] of payloads.entries()) await driver.insertEvent("s", event("s", index, payload));
      for (const method of ["session/prompt", "session/update", "session/prompt\u0000", odd, "", "\ufffd", "x", "中"]) {
        const expected = [...payloads.keys()].filter((index) => payloads[index]![1] === method);
        assert.deepEqual(indexes(await driver.listEvents({ sessionId: "s", method })), expected, method);
      }
    });

    oursOnly("a page is full however few of the events it looks at are listed", async (t) => {
      const driver = await ours(t);
      const rare = [3, 4, 700, 1_249, 1_250];
      // What a terminal shows is full of escapes, which hide from a database what a text means.
      const payload = (index: number) => ({ method: rare.includes(index) ? "a" : "b", text: "\u001b[31m" });
      const sender = (index: number) => (rare.includes(index) ? "client" : "agent");
      await Promise.all(
        range(0, 1_300).map((index) =>
          driver.insertEvent("s", event("s", index, payload(index), { sender: sender(index) })),
        ),
      );
      for (const filter of [{ method: "a" }, { sender: "client" }] as const) {
        for (const [order, expected] of [
          ["asc", rare],
          ["desc", rare.toReversed()],
        ] as const) {
          const request = { sessionId: "s", order, ...filter };
          const first = await driver.listEvents({ ...request, limit: 3 });
          assert.deepEqual(indexes(first), expected.slice(0, 3));
          const rest = await driver.listEvents({ ...request, limit: 2, cursor: first.nextCursor });
          assert.deepEqual(indexes(rest), expected.slice(3));
          assert.equal(rest.nextCursor, undefined, "the last page, also when it is full");
        }
      }
    });

    oursOnly("sessions are found by each of their filters", async (t) => {
      const driver = await ours(t);
      await driver.updateSession(record("a", { createdAt: 1, agent: "claude" }));
      await driver.updateSession(record("b", { createdAt: 2, agent: "Claude", sandboxId: "local/1" }));
      await driver.updateSession(record("c", { createdAt: 2, sandboxId: "local/1", destroyedAt: 0 }));
      await driver.updateSession(record("d", { createdAt: 3, sandboxId: "", destroyedAt: 5 }));
      for (const [filter, expected] of [
        [{ agent: "claude" }, "a"],
        [{ agent: "mock" }, "cd"],
        [{ agent: "" }, ""],
        [{ sandboxId: "local/1" }, "bc"],
        [{ sandboxId: "" }, "d"],
        [{ destroyed: true }, "cd"],
        [{ destroyed: false }, "ab"],
        [{ createdAfter: 1 }, "bcd"],
        [{ createdAfter: 2 }, "d"],
        [{ createdBefore: 3 }, "abc"],
        [{ createdAfter: 1, createdBefore: 3 }, "bc"],
        [{ createdAfter: -MAX, createdBefore: MAX }, "abcd"],
        [{ createdAfter: 3, createdBefore: 1 }, ""],
        [{ createdAfter: 1, sandboxId: "local/1", destroyed: false }, "b"],
        [{ agent: undefined, destroyed: undefined, createdAfter: undefined }, "abcd"],
      ] as const) {
        for (const limit of [1, 10]) {
          for (const [order, inOrder] of [
            ["asc", [...expected]],
            ["desc", [...expected].toReversed()],
          ] as const) {
            const found = await scan(({ cursor }) => driver.listSessions({ ...filter, order, limit, cursor }));
            assert.deepEqual(
              found.map(({ id }) => id),
              inOrder,
              JSON.stringify(filter),
            );
          }
        }
      }
    });

    oursOnly("sessions are found by their labels, of which they must have all", async (t) => {
      const driver = await ours(t);
      const labels: Record<string, Record<string, string>> = {
        a: { tenant: "acme", user: "u1" },
        b: { tenant: "acme", user: "u2" },
        c: { tenant: "Acme", user: "u1" },
        d: { tenant: "acme", user: "u1", "'; --": "😀\n" },
        e: {},
      };
      for (const [n, id] of Object.keys(labels).entries()) {
        await driver.updateSession(record(id, { createdAt: n, agent: n % 2 ? "odd" : "even" }));
        await driver.setLabels(id, labels[id]!);
      }
      await driver.setLabels("no record", { tenant: "acme" });
      for (const [filter, expected] of [
        [{ labels: {} }, "abcde"],
        [{ labels: { tenant: "acme" } }, "abd"],
        [{ labels: { tenant: "acme", user: "u1" } }, "ad"],
        [{ labels: { tenant: "acme", user: "u3" } }, ""],
        [{ labels: { tenant: "" } }, ""],
        [{ labels: { "": "" } }, ""],
        [{ labels: { user: "acme" } }, ""],
        [{ labels: { "'; --": "😀\n" } }, "d"],
        [{ labels: { "a\u0000": "b" } }, ""],
        [{ labels: { tenant: "acme\u0000" } }, ""],
        [{ labels: { tenant: "acme" }, createdAfter: 0 }, "bd"],
        [{ labels: { tenant: "acme" }, createdBefore: 3, agent: "even" }, "a"],
      ] as const) {
        for (const order of ["asc", "desc"] as const) {
          const found = await scan(({ cursor }) => driver.listSessions({ ...filter, order, limit: 2, cursor }));
          const inOrder = order === "asc" ? [...expected] : [...expected].toReversed();
          assert.deepEqual(
            found.map(({ id }) => id),
            inOrder,
            JSON.stringify(filter),
          );
        }
      }
      await driver.setLabels("a", { tenant: null });
      await driver.setLabels("b", { tenant: "other" });
      await driver.setLabels("e", { tenant: "acme" });
      const ids = (await driver.listSessions({ labels: { tenant: "acme" } })).items.map(({ id }) => id);
      assert.deepEqual(ids, ["d", "e"]);
    });

    oursOnly("what no database can hold is in no list", async (t) => {
      const driver = await ours(t);
      await driver.updateSession(record("s"));
      await driver.insertEvent("s", event("s", 1));
      for (const text of ["\u0000", "a\u0000b"]) {
        assert.deepEqual(await driver.listSessions({ agent: text }), { items: [] });
        assert.deepEqual(await driver.listSessions({ sandboxId: text, order: "desc" }), { items: [] });
        assert.deepEqual(await driver.listEvents({ sessionId: text, order: "desc", method: "a" }), { items: [] });
      }
    });

    oursOnly("a cursor is taken by the list that it came from, and by no other", async (t) => {
      const driver = await ours(t);
      await insert(driver, range(0, 6));
      await Promise.all(range(0, 6).map((n) => driver.updateSession(record(`s${n}`))));
      await Promise.all(range(0, 6).map((n) => driver.setLabels(`s${n}`, { a: "1", b: "2" })));
      const wrong = {
        name: "TypeError",
        code: "ERR_PERSIST_INVALID_ARGUMENT",
        message: /^the cursor is not one of this list/,
      };

      const events: Omit<EventListRequest, "sessionId">[] = [
        {},
        { order: "desc" },
        { afterIndex: -1 },
        { afterIndex: -2 },
        { beforeIndex: 6 },
        { afterIndex: -1, beforeIndex: 6 },
        { sender: "agent" },
        { sender: "agent", order: "desc" },
        { method: "m" },
        { sender: "agent", method: "m" },
      ];
      const sessions: SessionListRequest[] = [
        {},
        { order: "desc" },
        { agent: "mock" },
        { agent: "mock", order: "desc" },
        { destroyed: false },
        { createdAfter: 0 },
        { createdBefore: 2e12 },
        { createdAfter: 0, createdBefore: 2e12 },
        { labels: { a: "1" } },
        { labels: { a: "1", b: "2" } },
        { labels: { b: "2" } },
        { labels: { a: "1" }, order: "desc" },
      ];
      const readEvents = (request: SessionListRequest) => driver.listEvents({ sessionId: "s", ...request });
      const readSessions = (request: SessionListRequest) => driver.listSessions(request);
      for (const [read, requests] of [
        [readEvents, events],
        [readSessions, sessions],
      ] as const) {
        for (const of of requests) {
          const first = await read({ ...of, limit: 2 });
          assert.equal(first.items.length, 2, JSON.stringify(of));
          for (const other of requests) {
            const next = read({ ...other, limit: 3, cursor: first.nextCursor });
            if (other === of) assert.equal((await next).items.length, 3);
            else await assert.rejects(next, wrong, `${JSON.stringify(of)} ${JSON.stringify(other)}`);
          }
          // The offsets of the SDK's own drivers are of plain lists alone.
          if (Object.keys(of).length > 0) await assert.rejects(read({ ...of, cursor: "2" }), wrong);
        }
      }
      const plain = await driver.listEvents({ sessionId: "s", order: "asc", limit: 2 });
      assert.equal(plain.nextCursor, "e1:1", "the default, given, is the default");
    });

    oursOnly("any filters of events, in any order and pages of any sizes, are a filter over all", async (t) => {
      const driver = await ours(t);
      const given = <T,>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
      const methods = ["session/update", "session/prompt", 'odd"\\\u0000\u001f', "é"];
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(fc.nat(60), { maxLength: 40 }),
          fc.record({
            order: given(fc.constantFrom("asc", "desc")),
            afterIndex: given(fc.integer({ min: -1, max: 70 })),
            beforeIndex: given(fc.integer({ min: -1, max: 70 })),
            sender: given(fc.constantFrom("client", "agent")),
            method: given(fc.constantFrom(...methods)),
          }),
          fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
          async (order, filter, limits) => {
            const sessionId = `model${run++}`;
            const make = (index: number) =>
              event(
                sessionId,
                index,
                { id: 1, ...(index % 5 < 4 && { method: methods[index % 5] }), text: index % 3 ? "\u001b" : "" },
                { sender: index % 2 ? "client" : "agent" },
              );
            const all = order.map(make);
            await Promise.all(all.map((each) => driver.insertEvent(sessionId, each)));
            const descending = filter.order === "desc";
            let last = 60;
            const seen = await scan(async ({ cursor, page }) => {
              const limit = limits[page % limits.length];
              const found = await driver.listEvents({ sessionId, ...filter, limit, cursor });
              const size = found.items.length;
              assert.ok(found.nextCursor === undefined ? size <= limit! : size === limit, "a page is full");
              if (found.nextCursor !== undefined && last < 70) {
                const late = make(++last);
                await driver.insertEvent(sessionId, late);
                if (!descending) all.push(late);
              }
              return found;
            });
            const { afterIndex = -1, beforeIndex = Infinity, sender, method } = filter;
            const expected = all.filter(
              (each) =>
                each.eventIndex > afterIndex &&
                each.eventIndex < beforeIndex &&
                (sender === undefined || each.sender === sender) &&
                (method === undefined || (each.payload as { method?: string }).method === method),
            );
            expected.sort((a, b) => (a.eventIndex - b.eventIndex) * (descending ? -1 : 1));
            assert.deepEqual(seen, expected);
          },
        ),
        { numRuns: 100 },
      );
    });

    oursOnly("any filters of sessions, in any order and pages of any sizes, are a filter over all", async (t) => {
      const driver = await ours(t);
      const given = <T,>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
      const make = (n: number) =>
        record(`s${(n * 7) % 64}${n}`, {
          createdAt: Math.floor(n / 3),
          agent: ["a", "A", "é"][n % 3],
          ...(n % 4 > 0 && { sandboxId: `local/${n % 4}` }),
          ...(n % 5 > 2 && { destroyedAt: n }),
        });
      const all = range(0, 48).map(make);
      await Promise.all(all.map((each) => driver.updateSession(each)));
      const labelsOf = (n: number): Record<string, string> => ({
        ...(n % 2 && { tenant: n % 3 ? "a" : "A" }),
        ...(n % 3 && { user: String(n % 4) }),
      });
      await Promise.all(all.map(({ id }, n) => driver.setLabels(id, labelsOf(n))));
      const labels = new Map(all.map(({ id }, n) => [id, labelsOf(n)]));
      const byKey = (a: SessionRecord, b: SessionRecord) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
      await fc.assert(
        fc.asyncProperty(
          fc.record({
            order: given(fc.constantFrom("asc", "desc")),
            agent: given(fc.constantFrom("a", "A", "é", "")),
            sandboxId: given(fc.constantFrom("local/1", "local/2", "none")),
            destroyed: given(fc.boolean()),
            createdAfter: given(fc.integer({ min: -2, max: 20 })),
            createdBefore: given(fc.integer({ min: -2, max: 20 })),
            labels: given(
              fc.record(
                { tenant: fc.constantFrom("a", "A", "none"), user: fc.constantFrom("0", "1", "2") },
                { requiredKeys: [] },
              ),
            ),
          }),
          fc.integer({ min: 1, max: 9 }),
          async (filter, limit) => {
            const descending = filter.order === "desc";
            const expected = all.filter(
              (each) =>
                (filter.agent === undefined || each.agent === filter.agent) &&
                (filter.sandboxId === undefined || each.sandboxId === filter.sandboxId) &&
                (filter.destroyed === undefined || (each.destroyedAt !== undefined) === filter.destroyed) &&
                each.createdAt > (filter.createdAfter ?? -Infinity) &&
                each.createdAt < (filter.createdBefore ?? Infinity) &&
                Object.entries(filter.labels ?? {}).every(([name, value]) => labels.get(each.id)![name] === value),
            );
            expected.sort((a, b) => byKey(a, b) * (descending ? -1 : 1));
            const seen = await scan(({ cursor }) => driver.listSessions({ ...filter, limit, cursor }));
            assert.deepEqual(seen, expected);
          },
        ),
        { numRuns: 100 },
      );
    });
  });
}

/** Stores events of the session "s", all sent by the agent, with the method "m". */
async function insert(driver: ContractDriver, at: number[]): Promise<void> {
  await Promise.all(at.map((index) => driver.insertEvent("s", event("s", index, { method: "m" }))));
}
