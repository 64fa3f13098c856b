/**
 * For the page: sends the sessions that a driver in the browser has to a server of yours, each with all of its events. Call it
 * again whenever you like: only what is new is added.
 *
 *   await handOver(new IndexedDbSessionPersistDriver(), "/sessions");
 */
import type { SessionEvent, SessionPersistDriver } from "sandbox-agent";

export async function handOver(source: SessionPersistDriver, url: string): Promise<void> {
  let cursor: string | undefined;
  do {
    const page = await source.listSessions({ cursor });
    for (const session of page.items) {
      const body = JSON.stringify({ session, events: await eventsOf(source, session.id) });
      const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
      if (!response.ok) throw new Error(`Session ${session.id} was not handed over: ${await response.text()}`);
    }
    cursor = page.nextCursor;
  } while (cursor);
}

async function eventsOf(source: SessionPersistDriver, sessionId: string): Promise<SessionEvent[]> {
  const events: SessionEvent[] = [];
  let cursor: string | undefined;
  do {
    const page = await source.listEvents({ sessionId, cursor, limit: 500 });
    events.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor);
  return events;
}
