// @ts-check
// A server to bundle: each request stores an event, and answers with all of them.

import { createServer } from "node:http";

import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";

const persist = new SQLiteSessionPersistDriver({ filename: "./bundled.db" });
let eventIndex = 0;

const server = createServer(async (_request, response) => {
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
  response.end(JSON.stringify(items));
});
server.listen(Number(process.env["PORT"]), "127.0.0.1");

process.once("SIGTERM", async () => {
  server.close();
  await persist.close();
});
