/**
 * An HTTP server whose sessions are in Postgres: any number of it may run, each goes on with any session, and one that is told
 * to end loses nothing.
 *
 *   node examples/mock-server.mjs
 *   DATABASE_URL=postgresql://... npx tsx examples/postgres-server.mts
 *   curl -d "My favourite colour is teal." http://127.0.0.1:3000/my-session   prompts the session
 *   curl http://127.0.0.1:3000/my-session                                     reads its events; "?cursor=" the next page
 */
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

import { SandboxAgent } from "sandbox-agent";
import { PostgresSessionPersistDriver } from "sandbox-agent-persist";

const { DATABASE_URL, SANDBOX_AGENT_URL = "http://127.0.0.1:2468", PORT = "3000" } = process.env;
if (!DATABASE_URL) throw new Error("DATABASE_URL is not set");

// Half of the time that whoever ends this process leaves it: `flush` and `close` may each take as long.
const persist = new PostgresSessionPersistDriver({ connectionString: DATABASE_URL, drainTimeoutMs: 10_000 });
// A database that cannot be used is told of now, and not by the first request.
await persist.ready();
const sdk = await SandboxAgent.connect({ baseUrl: SANDBOX_AGENT_URL, persist });

async function answer(method: string | undefined, url: URL, body: string): Promise<unknown> {
  const id = decodeURIComponent(url.pathname.slice(1));
  if (method === "POST") {
    const session = await sdk.resumeOrCreateSession({ id, agent: "mock" });
    return session.prompt([{ type: "text", text: body }]);
  }
  return persist.listEvents({ sessionId: id, cursor: url.searchParams.get("cursor") ?? undefined });
}

const server = createServer(async (request, response) => {
  response.setHeader("content-type", "application/json");
  try {
    const url = new URL(request.url ?? "/", "http://localhost");
    response.end(JSON.stringify(await answer(request.method, url, await text(request))));
  } catch (error) {
    response.writeHead(500).end(JSON.stringify({ error: String(error) }));
  }
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(JSON.stringify(server.address())));

process.once("SIGTERM", () => {
  // The requests that are under way are answered first.
  server.close(async () => {
    try {
      await persist.flush();
    } finally {
      await sdk.dispose();
      await persist.close();
    }
  });
});
