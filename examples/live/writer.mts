/**
 * Prompts a session with each line that it reads, and says whose session it is. Any number of processes may do so, on any
 * machine that reaches the database.
 *
 *   node examples/mock-server.mjs
 *   npx tsx examples/live/writer.mts ada my-session
 */
import { createInterface } from "node:readline";

import { SandboxAgent } from "sandbox-agent";
import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";

const { DATABASE = "./sandbox-agent.db", SANDBOX_AGENT_URL = "http://127.0.0.1:2468" } = process.env;
const [user, id] = process.argv.slice(2);
if (!user || !id) throw new Error("name a user and a session");

const persist = new SQLiteSessionPersistDriver({ filename: DATABASE });
const sdk = await SandboxAgent.connect({ baseUrl: SANDBOX_AGENT_URL, persist });
try {
  // Before the session is there, so that it is never nobody's.
  await persist.setLabels(id, { user });
  const session = await sdk.resumeOrCreateSession({ id, agent: "mock" });
  console.log(`Each line is a prompt for the session ${id} of ${user}, such as "Run npm test".`);
  for await (const text of createInterface({ input: process.stdin })) {
    await session.prompt([{ type: "text", text }]);
  }
  await persist.flush();
} finally {
  await sdk.dispose();
  await persist.close();
}
