/** Records and events of the contract's cases, and what pages of them hold. */
import assert from "node:assert/strict";
import type { ListPage, SessionEvent, SessionRecord } from "sandbox-agent";

export const MAX = Number.MAX_SAFE_INTEGER;

export const FULL: SessionRecord = {
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

export function record(id: string, fields: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id,
    agent: "mock",
    agentSessionId: `agent-${id}`,
    lastConnectionId: "connection",
    createdAt: 1_700_000_000_000,
    ...fields,
  };
}

export function event(
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

export async function scan<T>(next: (at: { cursor?: string; page: number }) => Promise<ListPage<T>>): Promise<T[]> {
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

/** The value without the fields that are undefined, which the in-memory driver leaves in its answers. */
export function present<T>(value: T): T {
  return JSON.parse(JSON.stringify(value));
}

export function indexes(page: { items: SessionEvent[] }): number[] {
  return page.items.map(({ eventIndex }) => eventIndex);
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, n) => from + n);
}

export function byNumber(a: number, b: number): number {
  return a - b;
}
