/** Sessions and events for the tests with several processes, and a read of all events, page by page. */
import type { SessionEvent, SessionPersistDriver, SessionRecord } from "sandbox-agent";

export function eventAt(sessionId: string, eventIndex: number, over: Partial<SessionEvent> = {}): SessionEvent {
  return {
    id: `${sessionId}-${eventIndex}`,
    eventIndex,
    sessionId,
    createdAt: 1_700_000_000_000 + eventIndex,
    connectionId: "connection-1",
    sender: "agent",
    payload: {
      jsonrpc: "2.0",
      method: "session/update",
      params: {
        update: { sessionUpdate: "agent_message_chunk", content: { type: "text", text: `chunk ${eventIndex}` } },
      },
    } as SessionEvent["payload"],
    ...over,
  };
}

export function sessionOf(id: string, over: Partial<SessionRecord> = {}): SessionRecord {
  return {
    id,
    agent: "mock",
    agentSessionId: `agent-${id}`,
    lastConnectionId: "connection-1",
    createdAt: 1_700_000_000_000,
    ...over,
  };
}

/** An event whose payload is `bytes` long. */
export function largeEventAt(sessionId: string, eventIndex: number, bytes: number): SessionEvent {
  const payload = { jsonrpc: "2.0", method: "x", params: { text: "x".repeat(bytes) } } as SessionEvent["payload"];
  return eventAt(sessionId, eventIndex, { payload });
}

export async function allEvents(driver: SessionPersistDriver, sessionId: string, limit = 500): Promise<SessionEvent[]> {
  const events: SessionEvent[] = [];
  let cursor: string | undefined;
  do {
    const page = await driver.listEvents({ sessionId, limit, cursor });
    events.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return events;
}
