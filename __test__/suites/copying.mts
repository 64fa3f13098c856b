/** `copy`: from a store of one kind into a store of the same or the other kind. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import type { SessionEvent } from "sandbox-agent";

import { begin, objects, run, type Outcome } from "../support/command-line.mts";
import { allEvents, eventAt, largeEventAt, sessionOf } from "../support/records.mts";
import { openPersist, openReader, type Persist, type Storage } from "../support/storage.mts";
import { slowDown } from "../support/slow.mts";
import { filled, type NewStore } from "./cli/store.mts";

/** What the command prints with `--json`. */
interface Copied {
  sessions: number;
  events: number;
  unchanged: number;
  different: number;
  differences: { sessionId: string; reason: string; message: string }[];
  checksum: { sessions: number; events: number; sha256: string } | null;
}

/** A session that takes several steps. */
const LARGE = 12_000;

const copy = (from: string, to: string, ...more: string[]) => run(["copy", from, to, "--yes", "--json", ...more]);

function copied(outcome: Outcome, code = 0): Omit<Copied, "checksum"> & { checksum: NonNullable<Copied["checksum"]> } {
  assert.equal(outcome.code, code, outcome.stderr);
  return objects<ReturnType<typeof copied>>(outcome)[0];
}

/** Texts that are easily changed on their way. */
const odd: Partial<SessionEvent>[] = [
  { payload: { z: 1, a: "\u0000 \ud800 \u2028", 10: 1.5e300, n: [null, -0, 1e21] } as never },
  { payload: "text" as never, extra: { b: 1, a: [2] } } as never,
  { sender: "client", connectionId: "", payload: { __proto__: null, "": {} } as never },
];

async function fill(driver: Persist): Promise<void> {
  const sessions = Array.from({ length: 30 }, (_, number) => `s${number}`);
  await Promise.all(
    sessions.flatMap((id, number) => [
      driver.updateSession(sessionOf(id, { createdAt: 1_000 - number, modes: { b: 1, a: null } } as never)),
      ...odd.map((over, index) => driver.insertEvent(id, eventAt(id, index * 5, over))),
    ]),
  );
  await driver.setLabels("s3", { user: "u1", "a b": "c" });
  await driver.insertEvent("no record", eventAt("no record", 1));
}

/** All that is in a store, as texts. */
async function contents(storage: Storage): Promise<Record<string, string>> {
  const driver = openReader(storage);
  const all: Record<string, string> = {};
  let cursor: string | undefined;
  const ids = ["no record"];
  do {
    const page = await driver.listSessions({ cursor, limit: 500 });
    for (const record of page.items) {
      ids.push(record.id);
      all[`${record.id} record`] = JSON.stringify([record, await driver.getLabels(record.id)]);
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  for (const id of ids) all[`${id} events`] = JSON.stringify(await allEvents(driver, id, 5_000));
  await driver.close();
  return all;
}

async function eventsOf(storage: Storage, sessionId: string): Promise<SessionEvent[]> {
  const driver = openReader(storage);
  const events = await allEvents(driver, sessionId, 5_000);
  await driver.close();
  return events;
}

async function large(driver: Persist): Promise<void> {
  await driver.updateSession(sessionOf("small", { createdAt: 1 }));
  await driver.insertEvent("small", eventAt("small", 1));
  await driver.updateSession(sessionOf("large", { createdAt: 2 }));
  for (let index = 0; index < LARGE; index += 500) {
    const some = Array.from({ length: 500 }, (_, number) =>
      driver.insertEvent("large", eventAt("large", index + number)),
    );
    await Promise.all(some);
  }
}

/** Waits until the large session has that many events. */
async function arrived(storage: Storage, least: number): Promise<void> {
  for (;;) {
    const reader = openReader(storage);
    try {
      const found = await reader.listEvents({ sessionId: "large", limit: 1, afterIndex: least - 1 });
      if (found.items.length > 0) return;
    } catch {
      // There are no tables yet.
    } finally {
      await reader.close();
    }
    await delay(2);
  }
}

export function copying(name: string, newSource: NewStore, newTarget: NewStore): void {
  describe(name, { concurrency: true }, () => {
    test("copies all texts and labels exactly, again without a change, and then what has come since", async (t) => {
      const source = await filled(t, newSource, fill);
      const target = await newTarget(t);
      const first = copied(await copy(source.store, target.store));
      assert.deepEqual([first.sessions, first.events, first.unchanged, first.different], [31, 91, 0, 0]);
      assert.deepEqual([first.checksum.sessions, first.checksum.events], [31, 91]);
      assert.deepEqual(await contents(target.storage), await contents(source.storage));

      const again = copied(await copy(source.store, target.store));
      assert.deepEqual([again.sessions, again.events, again.unchanged], [0, 0, 31]);
      assert.deepEqual(again.checksum, first.checksum);

      const driver = openPersist(source.storage);
      await driver.insertEvent("s0", eventAt("s0", 100));
      await driver.updateSession(sessionOf("s1", { createdAt: 999, destroyedAt: 5_000 }));
      await driver.setLabels("s2", { later: "yes" });
      await driver.updateSession(sessionOf("s99"));
      await driver.close();
      const grown = copied(await copy(source.store, target.store));
      assert.deepEqual([grown.sessions, grown.events, grown.unchanged, grown.different], [4, 1, 28, 0]);
      assert.deepEqual(await contents(target.storage), await contents(source.storage));
    });

    test("leaves alone what went on, was compacted or was pruned in the target, and says so", async (t) => {
      const source = await filled(t, newSource, async (driver) => {
        for (const id of ["went on", "compacted", "pruned", "other", "same"]) {
          await driver.updateSession(sessionOf(id, { destroyedAt: 1 }));
          await Promise.all([1, 2, 3].map((index) => driver.insertEvent(id, eventAt(id, index))));
        }
      });
      const target = await newTarget(t);
      copied(await copy(source.store, target.store));
      const driver = openPersist(target.storage);
      await driver.insertEvent("went on", eventAt("went on", 4));
      await driver.compactSession("compacted");
      await driver.deleteSession("other");
      await driver.setLabels("pruned", { prune: "1" });
      await driver.pruneSessions({ labels: { prune: "1" }, keepLastEvents: 1 });
      await driver.close();
      const before = await contents(target.storage);
      const outcome = await copy(source.store, target.store);
      const { unchanged, differences } = copied(outcome, 1);
      assert.equal(unchanged, 1);
      assert.deepEqual(Object.fromEntries(differences.map(({ sessionId, reason }) => [sessionId, reason])), {
        "went on": "hasMore",
        compacted: "otherEvents",
        pruned: "otherEvents",
        other: "refused",
      });
      assert.match(outcome.stderr, /^error: 4 sessions are different in .*\n$/);
      assert.deepEqual(await contents(target.storage), before);
    });

    test("copies what is named or meets filters, and counts it in a dry run", async (t) => {
      const source = await filled(t, newSource, fill);
      const target = await newTarget(t);
      const dry = copied(await run(["copy", source.store, target.store, "--dry-run", "--json"]));
      assert.deepEqual([dry.sessions, dry.events, dry.checksum], [31, 91, null]);
      const some = copied(await copy(source.store, target.store, "s5", "no record", "s5"));
      assert.deepEqual([some.sessions, some.events], [2, 4]);
      const labelled = copied(await copy(source.store, target.store, "--label", "user=u1"));
      assert.deepEqual([labelled.sessions, labelled.events], [1, 3]);
      const absent = await copy(source.store, target.store, "absent");
      assert.match(absent.stderr, /^error: there is no session "absent" in /);
      assert.equal(absent.code, 3);
    });
  });
}

/** How many events of 100,000 bytes a session has that takes many steps. */
const HEAVY = 300;

/** Copies that end in the middle. */
export function endingCopies(name: string, newSource: NewStore, newTarget: NewStore): void {
  describe(name, { concurrency: true }, () => {
    test("goes on where it was killed, and leaves whole sessions where it was ended", async (t) => {
      const source = await filled(t, newSource, large);
      const target = await newTarget(t);
      const command = ["copy", source.store, target.store, "--yes", "--json"];
      for (const least of [1, 7_000]) {
        const running = begin(command);
        await Promise.race([arrived(target.storage, least), running.ended]);
        running.kill("SIGKILL");
        await running.ended;
      }
      const stored = (await eventsOf(target.storage, "large")).map((event) => event.eventIndex);
      assert.deepEqual(
        stored,
        stored.map((_, place) => place),
      );
      copied(await copy(source.store, target.store));
      assert.deepEqual(await contents(target.storage), await contents(source.storage));

      // A machine may be quick enough to be done before the signal comes.
      let code: number | null = 0;
      for (let tries = 0; tries < 10 && code !== 130; tries += 1) {
        const other = await newTarget(t);
        const running = begin(["copy", source.store, other.store, "--yes"]);
        await Promise.race([arrived(other.storage, 1), running.ended]);
        running.kill("SIGINT");
        ({ code } = await running.ended);
        if (code === 130) {
          // The step that was under way may have been the last.
          const reader = openReader(other.storage);
          const isThere = (await reader.getSession("large")) !== undefined;
          await reader.close();
          assert.equal((await eventsOf(other.storage, "large")).length, isThere ? LARGE : 0);
        }
        copied(await copy(source.store, other.store));
        assert.deepEqual(await contents(other.storage), await contents(source.storage));
      }
      assert.equal(code, 130);
    });

    test("a session that is deleted in the source meanwhile is told of and not left by half; all others are copied", async (t) => {
      const source = await filled(t, newSource, async (driver) => {
        await Promise.all(
          ["before", "large", "later"].map((id, at) => driver.updateSession(sessionOf(id, { createdAt: at }))),
        );
        await driver.insertEvent("later", eventAt("later", 1));
        for (let index = 0; index < HEAVY; index += 1)
          void driver.insertEvent("large", largeEventAt("large", index, 100_000));
      });
      const target = await filled(t, newTarget, (driver) => driver.ready());
      // It takes seconds, and little is read ahead.
      await slowDown(target, "INSERT", 40);
      const running = begin(["copy", source.store, target.store, "--yes", "--json"]);
      await arrived(target.storage, 1);
      const driver = openPersist(source.storage);
      await driver.deleteSession("large");
      await driver.close();
      const outcome = await running.ended;
      const { sessions, differences } = copied(outcome, 1);
      assert.deepEqual(
        differences.map(({ sessionId, reason }) => [sessionId, reason]),
        [["large", "changedMeanwhile"]],
      );
      assert.match(outcome.stderr, /^error: 1 session is not copied, since somebody has changed .*: copy again\n$/);
      assert.equal(sessions, 2);
      assert.deepEqual(await contents(target.storage), await contents(source.storage));
      assert.deepEqual(await eventsOf(target.storage, "large"), []);
    });
  });
}
