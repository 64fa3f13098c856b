// Sessions and events for the cases, made as the SDK makes them, and what pages of them hold.
import assert from "node:assert/strict";

import type { ListPage, ListPageRequest, SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent" with {
  "resolution-mode": "import",
};

const TIME = 1_700_000_000_000;

/** A record with every field that the SDK has. */
export const FULL: SessionRecord = {
  id: "full",
  agent: "mock",
  agentSessionId: "agent-full",
  lastConnectionId: "connection",
  createdAt: TIME,
  destroyedAt: TIME + 1,
  sandboxId: "local/127.0.0.1:2468",
  sessionInit: { cwd: "/srv/project", mcpServers: [] },
  configOptions: [],
  modes: { currentModeId: "plan", availableModes: [{ id: "plan", name: "Plan" }] },
};

export function record(id: string, fields: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id,
    agent: "mock",
    agentSessionId: `agent-${id}`,
    lastConnectionId: "connection",
    createdAt: TIME,
    ...fields,
  };
}

/** The ids of events are unique in a store, as those of the SDK are. */
export function event(sessionId: string, eventIndex: number, fields: Partial<SessionEvent> = {}): SessionEvent {
  return {
    id: `${sessionId}-event-${eventIndex}`,
    eventIndex,
    sessionId,
    createdAt: TIME + eventIndex,
    connectionId: "connection",
    sender: "agent",
    payload: message({ text: `event ${eventIndex}` }),
    ...fields,
  };
}

/** A message of the protocol, with anything in it. */
export function message(params: unknown): SessionEvent["payload"] {
  return { jsonrpc: "2.0", method: "session/update", params } as SessionEvent["payload"];
}

/** Inserts events at these indexes, one after another, as the SDK inserts those of a session. */
export async function insert(driver: SessionPersistDriver, sessionId: string, indexes: number[]): Promise<void> {
  for (const index of indexes) await driver.insertEvent(sessionId, event(sessionId, index));
}

/** Every page of a list, one after another. The SDK ends at a cursor that is empty as well as at none. */
export async function allPages<T>(
  list: (request: ListPageRequest) => Promise<ListPage<T>>,
  limit?: number,
): Promise<T[][]> {
  const pages: T[][] = [];
  let cursor: string | undefined;
  do {
    const page = await list({ ...(cursor && { cursor }), ...(limit && { limit }) });
    pages.push(page.items);
    cursor = page.nextCursor;
    assert.ok(pages.length < 10_000, "the pages have no end");
  } while (cursor);
  return pages;
}

/** All events of a session. */
export async function eventsOf(
  driver: SessionPersistDriver,
  sessionId: string,
  limit?: number,
): Promise<SessionEvent[]> {
  return (await allPages((request) => driver.listEvents({ sessionId, ...request }), limit)).flat();
}

/** All sessions. */
export async function sessionsOf(driver: SessionPersistDriver, limit?: number): Promise<SessionRecord[]> {
  return (await allPages((request) => driver.listSessions(request), limit)).flat();
}

export function indexes(events: SessionEvent[]): number[] {
  return events.map(({ eventIndex }) => eventIndex);
}

export function ids(rows: { id: string }[]): string[] {
  return rows.map(({ id }) => id);
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}
