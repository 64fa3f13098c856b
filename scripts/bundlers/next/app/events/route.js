// A route that stores an event at each request, and answers with all of them.

import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";

// `next build` loads this file too, and must open no database.
let persist;
let eventIndex = 0;

export async function POST() {
  persist ??= new SQLiteSessionPersistDriver({ filename: "./bundled.db" });
  eventIndex += 1;
  await persist.insertEvent("my-session", {
    id: `event-${eventIndex}`,
    eventIndex,
    sessionId: "my-session",
    createdAt: Date.now(),
    connectionId: "connection-1",
    sender: "agent",
    payload: { jsonrpc: "2.0", method: "session/update" },
  });
  const { items } = await persist.listEvents({ sessionId: "my-session" });
  return Response.json(items);
}
