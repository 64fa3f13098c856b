/**
 * A user's sessions, live in the browser: lists them, and streams each to any number of pages, whichever process writes it. It
 * reads the database alone, and knows no agents.
 *
 *   node examples/mock-server.mjs
 *   npx tsx examples/live/writer.mts ada my-session
 *   npx tsx examples/live/server.mts                  prints its address; open it with "?user=ada"
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import type { SessionEvent } from "sandbox-agent";
import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";

const { DATABASE = "./sandbox-agent.db", PORT = "0" } = process.env;

// With a `PostgresSessionPersistDriver` everything else stays as it is.
const persist = new SQLiteSessionPersistDriver({ filename: DATABASE });

const page = await readFile(new URL("page.html", import.meta.url), "utf8");
/** Lets the page's own script and style run, by their hashes, and nothing else. */
const policy = ["script", "style"]
  .map((tag) => {
    const [, text = ""] = new RegExp(`<${tag}[^>]*>(.*)</${tag}>`, "s").exec(page) ?? [];
    return `${tag}-src 'sha256-${createHash("sha256").update(text).digest("base64")}'; `;
  })
  .concat("default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
  .join("");

/** What a browser gets of an event. Messages that it does not show may hold secrets: `session/new` has those of MCP servers. */
function shown({ eventIndex, payload }: SessionEvent) {
  const { method, params } = payload as { method?: string; params?: unknown };
  return method === "session/prompt" || method === "session/update" ? { eventIndex, method, params } : { eventIndex };
}

/** Sends what was stored after that index, and then what is added, until the browser goes. */
async function stream(sessionId: string, afterIndex: number, response: ServerResponse, gone: AbortSignal) {
  response.writeHead(200, {
    "content-type": "text/event-stream",
    // No proxy may compress it, or hold any of it back.
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
  });
  response.write("retry: 500\n\n");
  // Proxies cut connections that are silent; and that a browser is gone without a word, only who writes to it finds out.
  const heartbeat = setInterval(() => response.write(":\n\n"), 15_000);
  let highest = afterIndex;
  try {
    for await (const event of persist.tailEvents({ sessionId, afterIndex, signal: gone })) {
      // When the browser comes back it says the last id. So an event that is late, with a lower index, must not lower that.
      highest = Math.max(highest, event.eventIndex);
      const room = response.write(`id: ${highest}\ndata: ${JSON.stringify(shown(event))}\n\n`);
      // What a slow browser has not taken waits in the database, not in memory.
      if (!room) await once(response, "drain", { signal: gone });
    }
  } finally {
    clearInterval(heartbeat);
    response.end();
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

async function answer(request: IncomingMessage, response: ServerResponse, gone: AbortSignal): Promise<void> {
  const [path, query] = (request.url ?? "/").split("?", 2);
  const parameters = new URLSearchParams(query);
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  if (path === "/") {
    response.setHeader("content-security-policy", policy);
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page);
    return;
  }
  // A real server takes the user from its login, and never from the address.
  const user = parameters.get("user");
  if (!user) return send(response, 401, { error: 'Say who you are: "?user=ada".' });
  if (path === "/sessions") {
    const { items } = await persist.listSessions({ labels: { user }, order: "desc" });
    return send(response, 200, { sessions: items.map(({ id }) => id) });
  }
  const sessionId = parameters.get("session") ?? "";
  const { user: owner } = await persist.getLabels(sessionId);
  // Whether there is a session of another user is a secret too.
  if (owner !== user) return send(response, 404, { error: "You have no such session." });
  if (path === "/events") {
    const cursor = parameters.get("cursor") ?? undefined;
    const { items, nextCursor } = await persist.listEvents({ sessionId, order: "desc", limit: 50, cursor });
    return send(response, 200, { events: items.map(shown), nextCursor });
  }
  const after = Number(request.headers["last-event-id"] ?? parameters.get("after") ?? -1);
  if (path !== "/stream" || !Number.isSafeInteger(after)) return send(response, 404, { error: "Not found." });
  return stream(sessionId, Math.max(-1, after), response, gone);
}

const server = createServer(async (request, response) => {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  try {
    await answer(request, response, gone.signal);
  } catch (error) {
    if (gone.signal.aborted) return;
    const wrong = (error as { code?: string }).code === "ERR_PERSIST_INVALID_ARGUMENT";
    if (!wrong) console.error(error);
    // Of a stream that has begun, the browser asks for the rest.
    if (!response.headersSent) send(response, wrong ? 400 : 500, { error: wrong ? String(error) : "This failed." });
  }
});
server.listen(Number(PORT), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, async () => {
    server.close();
    // This ends all streams. A browser that does not take the rest of its own within a second asks for it later.
    await persist.close();
    setTimeout(() => server.closeAllConnections(), 1_000).unref();
  });
}
