/**
 * One session in an SQLite file, which goes on each time this program is run, whatever has ended meanwhile: the server, the
 * sandbox, this program in the middle of an answer.
 *
 *   node examples/mock-server.mjs
 *   npx tsx examples/resume.mts "My favourite colour is teal."
 *   npx tsx examples/resume.mts "What do you know about me?"
 */
import { SandboxAgent } from "sandbox-agent";
import { SQLiteSessionPersistDriver } from "sandbox-agent-persist";

const { SANDBOX_AGENT_URL = "http://127.0.0.1:2468" } = process.env;
const [text = "What do you know about me?"] = process.argv.slice(2);

const persist = new SQLiteSessionPersistDriver({ filename: "./sandbox-agent.db" });
const sdk = await SandboxAgent.connect({ baseUrl: SANDBOX_AGENT_URL, persist });
try {
  const known = await persist.getSession("my-session");
  console.log(known ? `The session began at ${new Date(known.createdAt).toISOString()}.` : "The session begins.");

  const session = await sdk.resumeOrCreateSession({ id: "my-session", agent: "mock" });
  session.onEvent(({ payload }) => {
    if ("method" in payload && payload.method === "session/update") console.log(JSON.stringify(payload.params));
  });
  await session.prompt([{ type: "text", text }]);
  await persist.flush();
} finally {
  await sdk.dispose();
  await persist.close();
}
