/**
 * For the server: stores what `hand-over.mts` sends. Put it behind whatever tells who is asking: it believes what it is sent.
 *
 *   createServer((request, response) => receive(request, response, persist));
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { json } from "node:stream/consumers";

import type { SessionEvent, SessionRecord } from "sandbox-agent";
import { copySessions, type SQLiteSessionPersistDriver } from "sandbox-agent-persist";

export async function receive(
  request: IncomingMessage,
  response: ServerResponse,
  persist: SQLiteSessionPersistDriver,
): Promise<void> {
  try {
    const { session, events } = (await json(request)) as { session: SessionRecord; events: SessionEvent[] };
    const source = {
      getSession: async () => session,
      listSessions: async () => ({ items: [session] }),
      listEvents: async () => ({ items: events }),
    };
    response.end(JSON.stringify(await copySessions(source, persist)));
  } catch (error) {
    response.writeHead(400).end(String(error));
  }
}
