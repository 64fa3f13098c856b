// Sessions: what a record comes back as, and the order of their list.
import assert from "node:assert/strict";

import type { Case } from "../case.ts";
import { FULL, ids, record, sessionsOf } from "../records.ts";
import { assertSame } from "../same.ts";

export const sessions: Case[] = [
  {
    promise: "getSession of an id that was never stored resolves to undefined",
    otherwise: "resumeOrCreateSession fails where it should create the session",
    async check(store) {
      const driver = await store.open();
      assert.equal(await driver.getSession("nobody"), undefined);
      await driver.updateSession(record("somebody"));
      assert.equal(await driver.getSession("nobody"), undefined);
    },
  },
  {
    promise: "a record comes back with every field that it had",
    otherwise: "a resumed session has another agent, working directory or mode, and its sandbox is not found again",
    facts: [9],
    async check(store) {
      const driver = await store.open();
      await driver.updateSession(FULL);
      assertSame(await driver.getSession("full"), FULL);
      assertSame(await sessionsOf(driver), [FULL]);
    },
  },
  {
    promise: "a field that a record does not have is absent, and not null",
    otherwise: "a session that lives has a destroyedAt, and so looks destroyed",
    async check(store) {
      const driver = await store.open();
      await driver.updateSession(record("bare"));
      assertSame(await driver.getSession("bare"), record("bare"));
      assertSame(await sessionsOf(driver), [record("bare")]);
    },
  },
  {
    promise: "updateSession replaces the whole record: what is undefined in the new one is gone",
    otherwise: "a session that was destroyed and resumed stays destroyed",
    facts: [3],
    async check(store) {
      const driver = await store.open();
      await driver.updateSession(FULL);
      const next = record("full", { agent: "second", lastConnectionId: "later" });
      await driver.updateSession({ ...FULL, ...next, ...cleared() });
      assertSame(await driver.getSession("full"), next);
      assertSame(await sessionsOf(driver), [next]);
    },
  },
  {
    promise: "modes that are null stay null, and modes that are absent stay absent",
    otherwise: "an agent that has no modes looks like one whose modes are not known",
    async check(store) {
      const driver = await store.open();
      await driver.updateSession(record("s", { modes: null }));
      assert.equal((await driver.getSession("s"))?.modes, null);
      await driver.updateSession(record("s"));
      assert.equal((await driver.getSession("s"))?.modes, undefined);
    },
  },
  {
    promise: "a record that the caller changes after updateSession, or after reading it, is stored unchanged",
    otherwise: "a change that was never written shows up in the store",
    async check(store) {
      const driver = await store.open();
      const mine = record("mine", { agent: "before" });
      await driver.updateSession(mine);
      mine.agent = "after";
      const read = await driver.getSession("mine");
      assert.equal(read?.agent, "before");
      read.agent = "after";
      assert.equal((await driver.getSession("mine"))?.agent, "before");
    },
  },
  {
    promise: "listSessions is in order of createdAt, then of id, however the sessions were stored",
    otherwise: "lists of sessions jump about, and pages of them miss some",
    async check(store) {
      const driver = await store.open();
      const at = (createdAt: number, id: string) => record(id, { createdAt });
      const inOrder = [at(0, "m"), at(9, "j"), at(10, "a"), at(10, "b"), at(10, "c"), at(100, "h"), at(2e12, "e")];
      for (const n of [4, 1, 6, 2, 0, 5, 3]) await driver.updateSession(inOrder[n]!);
      assert.deepEqual(ids(await sessionsOf(driver)), ids(inOrder));
    },
  },
  {
    promise: "a session is in the list once, at the place of the record that it has now",
    otherwise: "a session that was updated is listed twice, or where it no longer belongs",
    facts: [3],
    async check(store) {
      const driver = await store.open();
      for (const id of ["a", "b", "c"]) await driver.updateSession(record(id));
      await driver.updateSession(record("b", { agent: "second" }));
      await driver.updateSession(record("a", { createdAt: 2e12 }));
      assert.deepEqual(ids(await sessionsOf(driver)), ["b", "c", "a"]);
    },
  },
];

/** As resumeSession writes what is no longer so: undefined, and not left out. */
function cleared(): object {
  return {
    destroyedAt: undefined,
    sandboxId: undefined,
    sessionInit: undefined,
    configOptions: undefined,
    modes: undefined,
  };
}
