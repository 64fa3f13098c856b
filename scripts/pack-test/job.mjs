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
