// @ts-check
/**
 * The agent of the bench: it speaks ACP as far as the SDK needs it, and answers the prompt `RATE SECONDS` with a stream of
 * so many updates a second, each with the time when it was sent. `stream.mts` puts it into a server.
 */
import { createInterface } from "node:readline";

let sessions = 0;

/** @param {object} message */
function line(message) {
  return `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`;
}

/**
 * @param {string} sessionId
 * @param {number} number
 */
function update(sessionId, number) {
  const sentAt = performance.timeOrigin + performance.now();
  const text = `${sentAt} chunk ${number}: the quick brown fox jumps over the lazy dog, again`;
  const content = { type: "text", text };
  return line({
    method: "session/update",
    params: { sessionId, update: { sessionUpdate: "agent_message_chunk", content } },
  });
}

/**
 * Sends what is due by now, a thousand times a second: timers are too coarse for a timer an update.
 *
 * @param {string} sessionId
 * @param {number} rate
 * @param {number} seconds
 * @returns {Promise<void>}
 */
function stream(sessionId, rate, seconds) {
  const start = performance.now();
  const count = rate * seconds;
  let sent = 0;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(count, Math.floor(((performance.now() - start) / 1000) * rate));
      let text = "";
      while (sent < due) text += update(sessionId, (sent += 1));
      if (text) process.stdout.write(text);
      if (sent === count) {
        clearInterval(timer);
        resolve();
      }
    }, 1);
  });
}

/** @type {Record<string, (params: any) => unknown>} */
const methods = {
  initialize: () => ({ protocolVersion: 1, agentCapabilities: { loadSession: false }, authMethods: [] }),
  "session/new": () => ({ sessionId: `agent-session-${(sessions += 1)}` }),
  "session/prompt": async ({ sessionId, prompt }) => {
    const [rate, seconds] = prompt.at(-1).text.split(" ").map(Number);
    await stream(sessionId, rate, seconds);
    return { stopReason: "end_turn" };
  },
};

// When the server is gone, there is nobody left to answer.
process.stdout.on("error", () => process.exit());
const lines = createInterface({ input: process.stdin });
lines.on("line", async (text) => {
  const { id, method, params } = JSON.parse(text);
  const result = await methods[method]?.(params);
  if (id !== undefined) process.stdout.write(line({ id, result }));
});
lines.on("close", () => process.exit());
