/** The events that every side of the bench writes and reads. */
import { randomUUID } from "node:crypto";

import type { SessionEvent } from "sandbox-agent";

/** An event of about 440 bytes of JSON text, as an agent streams them. */
export function eventAt(sessionId: string, eventIndex: number): SessionEvent {
  return {
    id: randomUUID(),
    eventIndex,
    sessionId,
    createdAt: Date.now(),
    connectionId: "0d4cf2ad-7a25-4bf5-a2d6-2e6a9e9d3c11",
    sender: "agent",
    payload: {
      jsonrpc: "2.0",
      method: "session/update",
      params: {
        sessionId: "agent-session-17",
        update: {
          sessionUpdate: "agent_message_chunk",
          content: { type: "text", text: `chunk ${eventIndex}: the quick brown fox jumps over the lazy dog, again` },
        },
      },
    },
  };
}

/** The names of so many sessions that are there to be read. */
export function histories(count: number): string[] {
  return Array.from({ length: count }, (_, position) => (position === 0 ? "history" : `history-${position + 1}`));
}
