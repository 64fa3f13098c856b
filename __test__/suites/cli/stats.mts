/** `stats`: what it counts, against what the events themselves say. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionEvent } from "sandbox-agent";

import { objects, run } from "../../support/command-line.mts";
import { allEvents, eventAt, sessionOf } from "../../support/records.mts";
import type { Persist } from "../../support/storage.mts";
import { atTerminal, noTerminal } from "../../support/terminal.mts";
import { filled, type NewStore } from "./store.mts";

const DAY = 24 * 60 * 60 * 1000;
const MANY = 2_500;
const SMALL = 600;

const update = (kind: string) => ({
  jsonrpc: "2.0",
  method: "session/update",
  params: { update: { sessionUpdate: kind, content: { type: "text", text: 'a "text" \u001b]0;title\u0007' } } },
});

/** Events of all kinds, two a day. */
const PAYLOADS = [
  { jsonrpc: "2.0", id: 1, method: "session/prompt", params: { prompt: [] } },
  update("tool_call"),
  update("evil\u001b[2J"),
  { jsonrpc: "2.0", id: 1, result: { stopReason: "end_turn" } },
  { jsonrpc: "2.0", id: 2, error: { code: 1, message: "no" } },
  ["no message"],
];

async function fill(driver: Persist): Promise<SessionEvent[]> {
  const of = (session: string, count: number, over: (index: number) => Partial<SessionEvent>) =>
    Promise.all(
      Array.from({ length: count }, (_, at) => driver.insertEvent(session, eventAt(session, at + 1, over(at)))),
    );
  await driver.updateSession(sessionOf("many", { agent: "codex" }));
  await of("many", MANY, () => ({}));
  await driver.updateSession(sessionOf("kinds", { destroyedAt: 1_800_000_000_000 }));
  await of("kinds", PAYLOADS.length, (at) => ({
    createdAt: 1_700_500_000_000 + Math.floor(at / 2) * 2 * DAY,
    payload: PAYLOADS[at] as SessionEvent["payload"],
  }));
  await of("lost", 1, () => ({ createdAt: -1 })); // its record is still to come
  const small = Array.from({ length: SMALL }, (_, number) => `small-${number}`);
  await Promise.all(small.map((id) => driver.updateSession(sessionOf(id))));
  await Promise.all(small.map((id) => driver.insertEvent(id, eventAt(id, 1))));
  const all: SessionEvent[] = [];
  // One after another: of so many at once the last ones may wait too long for a connection.
  for (const id of ["many", "kinds", "lost", ...small]) all.push(...(await allEvents(driver, id, 5_000)));
  return all;
}

/** Events and bytes of those events, by what `of` says of each. */
function volumes(events: SessionEvent[], of: (event: SessionEvent) => string): Record<string, [number, number]> {
  const volumes: Record<string, [number, number]> = {};
  for (const event of events) {
    const volume = (volumes[of(event)] ??= [0, 0]);
    volume[0] += 1;
    volume[1] += Buffer.byteLength(JSON.stringify(event));
  }
  return volumes;
}

function kindOf({ payload }: SessionEvent): string {
  const { method, params, result, error } = payload as any;
  if (method === "session/update") return `update ${params.update.sessionUpdate}`;
  if (method) return `method ${method}`;
  return result ? "answer" : error ? "error" : "unknown";
}

export function stats(newStore: NewStore): void {
  test("stats: counts every event once, by session, day and kind, and fits any terminal", async (t) => {
    let events: SessionEvent[] = [];
    const { store } = await filled(t, newStore, async (driver) => void (events = await fill(driver)));
    const json = await run(["stats", "--json", "--largest", "3", "--store", store]);
    assert.deepEqual([json.code, json.stderr], [0, ""]);
    const [counted] = objects<any>(json);
    const { sessions, alive, destroyed, withoutRecord, undated } = counted;
    assert.deepEqual([sessions, alive, destroyed, withoutRecord], [SMALL + 2, SMALL + 1, 1, 1]);
    const bySession = volumes(events, ({ sessionId }) => sessionId);
    const [total, lost] = [volumes(events, () => "all")["all"], bySession["lost"]];
    assert.deepEqual([counted.events, counted.bytes, undated.events, undated.bytes], [...total!, ...lost!]);
    assert.deepEqual(
      counted.largest.slice(0, 2).map((session: any) => [session.id, session.agent, session.events, session.bytes]),
      [
        ["many", "codex", ...bySession["many"]!],
        ["kinds", "mock", ...bySession["kinds"]!],
      ],
    );
    assert.equal(counted.largest.length, 3);
    const pairs = (rows: any[], name: (row: any) => string) =>
      Object.fromEntries(rows.map((row) => [name(row), [row.events, row.bytes]]));
    assert.deepEqual(
      pairs(counted.days, ({ beginsAt }) => String(beginsAt / DAY)),
      volumes(events.filter(({ createdAt }) => createdAt >= 0), ({ createdAt }) => String(Math.floor(createdAt / DAY))), // prettier-ignore
    );
    assert.deepEqual(
      pairs(counted.kinds, ({ type, name }) => (name ? `${type} ${name}` : type)),
      volumes(events, kindOf),
    );
    assert.ok(counted.size.dataBytes > 0);

    const filtered = await run(["stats", "--json", "--destroyed", "--store", store]);
    const [{ sessions: of, events: ofKinds, withoutRecord: none }] = objects<any>(filtered) as [any];
    assert.deepEqual([of, ofKinds, none], [1, PAYLOADS.length, 0]);
    const totals = await run(["stats", "--totals", "--store", store]);
    assert.match(totals.stdout, new RegExp(`^sessions +${SMALL + 2}\nevents +3,107\nsize +[\\d.]+ .*B`));
    const wrong = await run(["stats", "--totals", "--alive", "--store", store]);
    assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);

    for (const columns of noTerminal ? [] : [80, 40]) {
      const terminal = atTerminal(t, ["stats", "--days", "4", "--store", store], { columns });
      assert.equal(await terminal.ended, 0);
      const lines = terminal.shown().split("\r\n");
      for (const line of lines) assert.ok(line.length <= columns && !/[^\P{Cc}]/u.test(line), JSON.stringify(line));
      const bars = lines.filter((line) => /^ 20\d\d-/.test(line)).map((line) => line.replace(/[^█]*/, "").length);
      assert.deepEqual([bars.length, bars[0], bars[1], bars[2]], [4, 0, bars[3], 0]);
      assert.ok(bars[3]! > columns / 3);
    }
  });
}
