// The installed package in a TypeScript program, which runs a session on the real server and resumes it.

import assert from "node:assert/strict";

import { SandboxAgent, type SessionPersistDriver } from "sandbox-agent";
import { SQLiteSessionPersistDriver, type SQLiteSessionPersistDriverOptions } from "sandbox-agent-persist";

import { promptUntilStored, textsOf } from "../../__test__/support/agent/prompt.mts";
import { startServer } from "../../__test__/support/agent/server.mts";

const options: SQLiteSessionPersistDriverOptions = { filename: "typescript.db", durability: "full" };

/** Prompts the session on a new server, with a new SDK and a new driver, and returns what the agent said. */
async function prompt(text: string): Promise<string> {
  const server = await startServer();
  await using persist = new SQLiteSessionPersistDriver(options);
  const driver: SessionPersistDriver = persist;
  const sdk = await SandboxAgent.connect({ baseUrl: server.baseUrl, persist: driver });
  try {
    const known = await driver.getSession("my-session");
    const session = known
      ? await sdk.resumeSession(known.id)
      : await sdk.createSession({ agent: "mock", id: "my-session" });
    return textsOf(await promptUntilStored(session, text)).join("");
  } finally {
    await sdk.dispose();
    await server.cleanup();
  }
}

await prompt("My favourite colour is teal.");
const answer = await prompt("What do you know about me?");
assert.match(answer, /My favourite colour is teal\./, "the agent of the resumed session got the history");
