// @ts-check
// The main job without a server: store a session and its events, page through them, close, and read them again.

import assert from "node:assert/strict";

/**
 * @param {typeof import("sandbox-agent-persist").SQLiteSessionPersistDriver} Driver
 * @param {string} filename
 */
export async function storeAndReadBack(Driver, filename) {
  const record = {
    id: "session-1",
    agent: "mock",
    agentSessionId: "agent-session-1",
    lastConnectionId: "connection-1",
    createdAt: 1_700_000_000_000,
  };
  /** @type {import("sandbox-agent").SessionEvent[]} */
  const events = [1, 2, 3, 4, 5].map((eventIndex) => ({
    id: `event-${eventIndex}`,
    eventIndex,
    sessionId: record.id,
    createdAt: record.createdAt + eventIndex,
    connectionId: record.lastConnectionId,
    sender: "agent",
    payload: {
      jsonrpc: "2.0",
      method: "session/update",
      params: { sessionId: record.id, text: `\u0000 ${eventIndex}` },
    },
  }));

  const writer = new Driver({ filename });
  await Promise.all(events.map((event) => writer.insertEvent(record.id, event)));
  await writer.updateSession(record);
  await writer.close();
  await assert.rejects(writer.getSession(record.id), { code: "ERR_PERSIST_CLOSED" });

  const reader = new Driver({ filename, readonly: true });
  assert.deepEqual(await reader.getSession(record.id), record);
  assert.deepEqual(await reader.listSessions(), { items: [record] });
  const read = [];
  /** @type {string | undefined} */
  let cursor;
  do {
    const page = await reader.listEvents({ sessionId: record.id, cursor, limit: 2 });
    read.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor);
  assert.deepEqual(read, events);
  await reader.close();
}

/**
 * Runs the suite of conformance on a right driver and on one that loses all events, without the addon. Node's own runner would
 * make a test of each case.
 *
 * @param {typeof import("sandbox-agent-persist/conformance").testSessionPersistDriver} testSessionPersistDriver
 * @param {typeof import("sandbox-agent").InMemorySessionPersistDriver} Driver
 */
export async function checkConformance(testSessionPersistDriver, Driver) {
  /** @param {() => import("sandbox-agent").SessionPersistDriver} open */
  const failuresOf = async (open) => {
    /** @type {(() => Promise<void>)[]} */
    const cases = [];
    testSessionPersistDriver(open, {
      skip: ["durable", "several writers", "cursors under writes", "retries", "deep copies"],
      describe: (_name, run) => run(),
      test: Object.assign((/** @type {string} */ _name, /** @type {() => Promise<void>} */ run) => cases.push(run), {
        skip: () => {},
      }),
    });
    const outcomes = await Promise.allSettled(cases.map((run) => run()));
    return outcomes.filter(({ status }) => status === "rejected").length;
  };
  assert.equal(await failuresOf(() => new Driver()), 0);
  assert.ok((await failuresOf(() => Object.assign(new Driver(), { insertEvent: async () => {} }))) > 10);
}
